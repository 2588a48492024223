//! Events as the API shows them.

use std::time::SystemTime;

use fleet::resource::{API_VERSION, Time};
use serde_json::{Value, json};

use crate::store::Event;

/// As an `Event` of the core group.
pub(crate) fn write(event: &Event) -> Value {
    let about = &event.about;
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": event.name, "namespace": event.namespace, "uid": event.name, "resourceVersion": event.revision.to_string(),
            "creationTimestamp": seconds(event.first),
        },
        "involvedObject": {
            "apiVersion": API_VERSION, "kind": about.kind, "name": about.name, "namespace": event.namespace, "uid": about.uid,
        },
        "reason": event.reason, "message": event.message, "type": event.severity.as_str(), "count": event.count,
        "firstTimestamp": seconds(event.first), "lastTimestamp": seconds(event.last), "eventTime": null,
        "source": {"component": "module-controller"}, "reportingComponent": "module-controller", "reportingInstance": "",
    })
}

/// `Event` knows only whole seconds.
fn seconds(time: Time) -> Time {
    Time(time.0 / 1_000 * 1_000)
}

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
