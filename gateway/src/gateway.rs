//! One request from arrival to answer, and the changes of routes beside it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use ark::{Drained, InstanceId, Target, Traffic};
use ark_model::{
    ModuleId, Reason,
    api::{RouteList, TrafficView},
};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use prometheus_client::registry::Registry;

use crate::{
    answer::answer,
    body::{Inbound, Outbound, Stay},
    forward::{self, Peer},
    instance::{Inside, Instance},
    metrics::Reader,
    settings::Settings,
    stats::Stats,
    table::Table,
    trace::{Observed, Observer},
    tunnel::{self, Upgrade},
    upstream::{Body, Endpoint},
};

/// How long those that were cut off may take to notice.
const CUT_NOTICED: Duration = Duration::from_secs(1);

/// The data path of a base.
pub struct Gateway {
    pub(crate) settings: Settings,
    table: ArcSwap<Table>,
    /// What the table is made from. Held only while routes change.
    changing: Mutex<Changing>,
    unrouted: AtomicU64,
    observer: OnceLock<Arc<dyn Observer>>,
    /// What the process answers itself.
    own: OnceLock<Endpoint>,
}

#[derive(Default)]
struct Changing {
    routed: BTreeMap<String, Vec<Arc<Instance>>>,
    /// Instances that have to drain.
    retired: HashMap<InstanceId, Arc<Instance>>,
    /// The counters of each module: several instances of one identity share theirs.
    stats: HashMap<ModuleId, Weak<Stats>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A data path without routes.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            table: ArcSwap::default(),
            changing: Mutex::default(),
            unrouted: AtomicU64::new(0),
            observer: OnceLock::new(),
            own: OnceLock::new(),
        })
    }

    /// Tells `observer` of each sampled request. Only the first counts.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// Answers `request`, whatever happens to it. The answer's body streams on the thread that polls it.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        self.answer(request, None).await.map(BodyExt::boxed_unsync)
    }

    /// The same for a request that came from `peer`.
    pub(crate) async fn answer(&self, mut request: Request<Body>, peer: Option<&Peer>) -> Response<Outbound> {
        let arrived = Instant::now();
        let upgrade = Upgrade::of(&mut request);
        let Some(inside) = self.find(&request) else { return self.answer_unrouted(request, peer, upgrade).await };
        let instance = Arc::clone(&inside.0);
        // From here on the request is counted when its stay ends, also where its client goes before.
        let mut stay =
            Stay { inside, _place: None, status: crate::answer::status_of(Reason::Draining), arrived, took: None, observed: None };
        match self.pass_on(&instance, request, peer, &mut stay).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                stay.status = crate::answer::status_of(Reason::ModuleFailed);
                self.switch(response, upgrade, Some(stay))
            }
            Ok(response) => {
                stay.status = response.status();
                let pause = Duration::from_millis(instance.target.limits.request_deadline_ms);
                let size = instance.target.limits.response_body_bytes;
                response.map(|body| Outbound::new(body, size, pause, stay))
            }
            Err(reason) => {
                instance.stats.refused(reason);
                let response = self.refuse(reason);
                stay.status = response.status();
                response
            }
        }
    }

    /// What no module answers is the process's own to answer, where it answers anything.
    async fn answer_unrouted(
        &self,
        mut request: Request<Body>,
        peer: Option<&Peer>,
        upgrade: Option<(Upgrade, OnUpgrade)>,
    ) -> Response<Outbound> {
        if let Some(own) = self.own.get() {
            let id = forward::inward(&mut request, peer, None);
            match own.call(request, &id).await {
                Ok(mut response) => {
                    forward::outward(response.headers_mut(), &id);
                    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                        return self.switch(response, upgrade, None);
                    }
                    return response.map(Outbound::unbound);
                }
                Err(error) if error.reason == Reason::NoRoute => {}
                Err(error) => {
                    tracing::warn!(request = id.as_str(), reason = %error.reason, "the base itself: {error}");
                    return self.refuse(error.reason);
                }
            }
        }
        self.unrouted.fetch_add(1, Ordering::Relaxed);
        self.refuse(Reason::NoRoute)
    }

    /// The answer to a client whose connection becomes one of another protocol: it is a stay until that ends.
    fn switch(&self, mut response: Response<Body>, upgrade: Option<(Upgrade, OnUpgrade)>, mut stay: Option<Stay>) -> Response<Outbound> {
        let Some((near, mut far)) = upgrade.and_then(|(upgrade, near)| Some((near, upgrade.far()?))) else {
            return self.refuse(Reason::ModuleFailed);
        };
        if let Some(protocol) = far.protocol.take() {
            response.headers_mut().insert(header::UPGRADE, protocol);
        }
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(stay) = &mut stay {
            (stay.status, stay.took) = (response.status(), Some(stay.arrived.elapsed()));
        }
        tunnel::join(near, far, self.settings.tunnel_idle, stay);
        response.map(Outbound::unbound)
    }

    /// Has `own` answer what no module answers: the process had a server before it became a base. Only the first counts.
    pub fn answer_others_by(&self, own: Endpoint) {
        let _ = self.own.set(own);
    }

    /// The instance that answers, with the request inside it. Where it was retired between the look-up and the entering, the table
    /// has changed, and is looked at again.
    fn find(&self, request: &Request<Body>) -> Option<Inside> {
        let host = request.uri().host().or_else(|| request.headers().get(header::HOST).and_then(|host| host.to_str().ok()));
        loop {
            let table = self.table.load();
            if let Some(inside) = table.find(request.uri().path(), host)?.enter() {
                return Some(inside);
            }
        }
    }

    async fn pass_on(
        &self,
        instance: &Instance,
        mut request: Request<Body>,
        peer: Option<&Peer>,
        stay: &mut Stay,
    ) -> Result<Response<Body>, Reason> {
        let limits = &instance.target.limits;
        if let Some(size) = content_length(request.headers()).filter(|size| *size > limits.request_body_bytes) {
            tracing::debug!(module = %instance.target.module, size, "a body is too large");
            return Err(Reason::BodyTooLarge);
        }
        stay._place = Some(instance.place().await?);
        if let Some(observer) = self.observer.get() {
            stay.observed = Observed::begin(observer, &mut request, &instance.target.module);
        }
        let id = forward::inward(&mut request, peer, instance.prefix.as_ref().filter(|_| self.settings.strip_prefix));
        let deadline = Duration::from_millis(limits.request_deadline_ms);
        // A request without a body needs no guard.
        let too_large = (!request.body().is_end_stream()).then(|| Arc::new(AtomicBool::new(false)));
        let request = match &too_large {
            None => request,
            Some(too_large) => {
                request.map(|body| Inbound::new(body, limits.request_body_bytes, deadline, Arc::clone(too_large)).boxed_unsync())
            }
        };
        let answered = tokio::select! {
            biased;
            answered = instance.target.endpoint.call(request, &id) => answered,
            () = tokio::time::sleep(deadline.saturating_sub(stay.arrived.elapsed())) => return Err(Reason::RequestTimedOut),
            () = instance.cut.cancelled() => return Err(Reason::Draining),
        };
        match answered {
            // Whatever the module makes of a body that was cut off.
            _ if too_large.is_some_and(|too_large| too_large.load(Ordering::Acquire)) => Err(Reason::BodyTooLarge),
            Ok(response) if content_length(response.headers()).is_some_and(|size| size > limits.response_body_bytes) => {
                tracing::warn!(module = %instance.target.module, request = id.as_str(), "an answer is larger than response-body-bytes");
                Err(Reason::ModuleFailed)
            }
            Ok(mut response) => {
                forward::outward(response.headers_mut(), &id);
                Ok(response)
            }
            Err(error) => {
                tracing::warn!(module = %instance.target.module, request = id.as_str(), reason = %error.reason, "{error}");
                Err(error.reason)
            }
        }
    }

    fn refuse(&self, reason: Reason) -> Response<Outbound> {
        answer(reason, self.settings.retry_after).map(Outbound::unbound)
    }

    /// The routes as they are now.
    #[must_use]
    pub fn routes(&self) -> RouteList {
        self.table.load().view()
    }

    /// What the requests of `module` came to, while it has an instance.
    #[must_use]
    pub fn traffic(&self, module: &ModuleId) -> Option<TrafficView> {
        let stats = self.changing().stats.get(module)?.upgrade()?;
        Some(stats.view())
    }

    /// Adds the metrics of the data path to `registry`.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Reader(Arc::clone(self))));
    }

    pub(crate) fn all_stats(&self) -> Vec<(ModuleId, Arc<Stats>)> {
        let mut all: Vec<_> = self.changing().stats.iter().filter_map(|(id, stats)| Some((id.clone(), stats.upgrade()?))).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    pub(crate) fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic<Endpoint> for Gateway {
    fn route(&self, name: &str, targets: Vec<Target<Endpoint>>) {
        let mut changing = self.changing();
        let before = changing.routed.remove(name).unwrap_or_default();
        // An instance that stays keeps its counts: it is the same instance, at most with another weight.
        let mut after = Vec::new();
        for target in targets {
            let same =
                before.iter().find(|instance| instance.target.instance == target.instance && instance.target.weight == target.weight);
            after.push(same.cloned().unwrap_or_else(|| {
                let stats = changing.stats_of(&target.module);
                Arc::new(Instance::new(target, stats))
            }));
        }
        let gone: Vec<Arc<Instance>> = before.iter().filter(|old| !after.iter().any(|new| Arc::ptr_eq(old, new))).cloned().collect();
        if !after.is_empty() {
            changing.routed.insert(name.to_owned(), after.clone());
        }
        self.table.store(Arc::new(Table::new(&changing.routed)));
        let is_among = |all: &[Arc<Instance>], one: &Instance| all.iter().any(|other| other.target.instance == one.target.instance);
        for new in after.iter().filter(|new| !is_among(&before, new)) {
            new.target.endpoint.routed(true);
        }
        for instance in gone {
            instance.retire();
            if !is_among(&after, &instance) {
                instance.target.endpoint.routed(false);
            }
            changing.retired.insert(instance.target.instance, instance);
        }
        changing.stats.retain(|_, stats| stats.strong_count() > 0);
    }

    fn drain(&self, instance: InstanceId, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(async move {
            let Some(instance) = self.changing().retired.remove(&instance) else { return Drained { cut: 0 } };
            if tokio::time::timeout(deadline, instance.empty()).await.is_ok() {
                return Drained { cut: 0 };
            }
            let cut = instance.inside();
            instance.cut.cancel();
            // A client that takes nothing of its answer notices later; its connection ends at the write time-out.
            let _ = tokio::time::timeout(CUT_NOTICED, instance.empty()).await;
            Drained { cut }
        })
    }
}

impl Changing {
    fn stats_of(&mut self, module: &ModuleId) -> Arc<Stats> {
        if let Some(stats) = self.stats.get(module).and_then(Weak::upgrade) {
            return stats;
        }
        let stats = Arc::new(Stats::default());
        self.stats.insert(module.clone(), Arc::downgrade(&stats));
        stats
    }
}

fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use ark_model::Limits;

    use super::*;
    use crate::{RequestId, Upstream, UpstreamError};

    /// Remembers what it was told.
    #[derive(Default)]
    struct Told(Mutex<Vec<bool>>);

    impl Upstream for Told {
        fn call(&self, _: Request<Body>, _: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
            Box::pin(std::future::pending())
        }

        fn routed(&self, on: bool) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(on);
        }
    }

    #[test]
    fn an_endpoint_is_told_when_it_begins_and_ends_to_be_routed_to_and_of_nothing_else() {
        let gateway = Gateway::new(Settings::default());
        let told = [Arc::new(Told::default()), Arc::new(Told::default())];
        let target = |number: usize, weight: u32| Target {
            instance: InstanceId(number as u64),
            module: Arc::new(ModuleId::new("m", format!("{number}")).unwrap()),
            context_path: "/m".into(),
            hosts: [].into(),
            weight,
            limits: Limits::default(),
            endpoint: Arc::clone(&told[number]) as Endpoint,
        };
        gateway.route("m", vec![target(0, 1)]);
        gateway.route("m", vec![target(0, 1), target(1, 1)]);
        // Other weights are no other instances.
        gateway.route("m", vec![target(0, 3), target(1, 1)]);
        gateway.route("m", vec![target(1, 1)]);
        gateway.route("m", vec![target(0, 1)]);
        gateway.route("m", Vec::new());
        let seen = told.map(|told| told.0.lock().unwrap().clone());
        assert_eq!(seen, [vec![true, false, true, false], vec![true, false]]);
    }
}
