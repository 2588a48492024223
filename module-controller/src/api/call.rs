//! What a request asks for, read from its line alone: access, audit and metrics go by it as the answer does.

use axum::{
    extract::Query,
    http::{Method, Uri},
};
use fleet::resource::{GROUP, GROUP_ALIAS, Kind, VERSION};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What is to be done.
    pub(crate) verb: Verb,
    /// To what.
    pub(crate) target: Target,
    /// Where, if in one namespace.
    pub(crate) namespace: Option<String>,
    /// To which one.
    pub(crate) name: Option<String>,
    /// To which part of it.
    pub(crate) part: Part,
    pairs: Vec<(String, String)>,
}

/// What may be done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// As rules and metrics say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it only looks.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The fleet's own resources, under one of the two groups.
    Fleet(Kind, &'static str),
    /// Events of the core group.
    Events,
    /// Namespaces.
    Namespaces,
    /// What a caller asks of itself: `authorization.k8s.io`, `authentication.k8s.io`.
    Review(Review),
    /// Any other path.
    Path,
}

/// What a caller may ask of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Review {
    /// May I do this?
    Access,
    /// What may I do?
    Rules,
    /// Who am I?
    Subject,
}

/// The part of a resource that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status.
    Main,
    /// The status.
    Status,
    /// How many there are to be.
    Scale,
}

impl Part {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

impl Target {
    /// As paths say it; empty for other paths.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Fleet(kind, _) => kind.plural(),
            Self::Events => "events",
            Self::Namespaces => "namespaces",
            Self::Review(Review::Access) => "selfsubjectaccessreviews",
            Self::Review(Review::Rules) => "selfsubjectrulesreviews",
            Self::Review(Review::Subject) => "selfsubjectreviews",
            Self::Path => "",
        }
    }

    /// As `kind` says it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Fleet(kind, _) => kind.as_str(),
            Self::Events => "Event",
            Self::Namespaces => "Namespace",
            Self::Review(Review::Access) => "SelfSubjectAccessReview",
            Self::Review(Review::Rules) => "SelfSubjectRulesReview",
            Self::Review(Review::Subject) => "SelfSubjectReview",
            Self::Path => "",
        }
    }

    /// Its API group.
    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Fleet(_, group) => group,
            Self::Review(Review::Access | Review::Rules) => "authorization.k8s.io",
            Self::Review(Review::Subject) => "authentication.k8s.io",
            Self::Events | Self::Namespaces | Self::Path => "",
        }
    }

    /// `apiVersion` of its documents.
    pub(crate) fn api_version(self) -> String {
        match self {
            Self::Fleet(_, group) => format!("{group}/{VERSION}"),
            Self::Review(_) => format!("{}/v1", self.group()),
            Self::Events | Self::Namespaces | Self::Path => "v1".to_owned(),
        }
    }

    /// `moduledeployments.serverless.alipay.com`.
    pub(crate) fn qualified(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }
}

impl Call {
    /// Reads a request's line.
    pub(crate) fn read(method: &Method, uri: &Uri) -> Self {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let found = match segments.as_slice() {
            ["apis", group, VERSION, rest @ ..] => group_of(group).and_then(|group| located(rest, |plural| fleet(plural, group))),
            ["api", "v1", "namespaces"] => Some((Target::Namespaces, None, None, Part::Main)),
            ["api", "v1", "namespaces", name] => Some((Target::Namespaces, None, Some((*name).to_owned()), Part::Main)),
            ["api", "v1", rest @ ..] => located(rest, |plural| (plural == "events").then_some(Target::Events)),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => reviewed(Review::Access),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectrulesreviews"] => reviewed(Review::Rules),
            ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => reviewed(Review::Subject),
            _ => None,
        };
        let (target, namespace, name, part) = found.unwrap_or((Target::Path, None, None, Part::Main));
        let mut call = Self { verb: Verb::Get, target, namespace, name, part, pairs };
        call.verb = match (method, &call.name) {
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, _) => Verb::Update,
            (&Method::PATCH, _) => Verb::Patch,
            (&Method::DELETE, Some(_)) => Verb::Delete,
            (&Method::DELETE, None) => Verb::DeleteCollection,
            _ if target == Target::Path => Verb::Get,
            _ if call.flag("watch") => Verb::Watch,
            (_, None) => Verb::List,
            (_, Some(_)) => Verb::Get,
        };
        call
    }

    /// A parameter, where it has a value.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter says yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), Some("1" | "t" | "T" | "true" | "True" | "TRUE"))
    }

    /// Whether nothing is to be stored.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun").is_some()
    }
}

type Located = (Target, Option<String>, Option<String>, Part);

fn reviewed(review: Review) -> Option<Located> {
    Some((Target::Review(review), None, None, Part::Main))
}

fn group_of(group: &str) -> Option<&'static str> {
    [GROUP, GROUP_ALIAS].into_iter().find(|known| *known == group)
}

fn fleet(plural: &str, group: &'static str) -> Option<Target> {
    Kind::ALL.into_iter().find(|kind| kind.plural() == plural).map(|kind| Target::Fleet(kind, group))
}

fn located(rest: &[&str], target: impl Fn(&str) -> Option<Target>) -> Option<Located> {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let (plural, name, part) = match rest {
        [plural] => (plural, None, Part::Main),
        [plural, name] if namespace.is_some() => (plural, Some(name), Part::Main),
        [plural, name, "status"] if namespace.is_some() => (plural, Some(name), Part::Status),
        [plural, name, "scale"] if namespace.is_some() => (plural, Some(name), Part::Scale),
        _ => return None,
    };
    let target = target(plural)?;
    let scales = matches!(target, Target::Fleet(Kind::ModuleDeployment | Kind::ModuleReplicaSet, _));
    let fits = match part {
        Part::Main => true,
        Part::Status => matches!(target, Target::Fleet(..)),
        Part::Scale => scales,
    };
    fits.then(|| (target, namespace, name.map(|name| (*name).to_owned()), part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str) -> Call {
        Call::read(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn a_request_says_what_it_is_about() {
        let call = read("PATCH", "/apis/koupleless.io/v1alpha1/namespaces/a/moduledeployments/shop/scale?dryRun=All");
        assert_eq!((call.verb, call.target, call.part), (Verb::Patch, Target::Fleet(Kind::ModuleDeployment, GROUP_ALIAS), Part::Scale));
        assert_eq!((call.namespace.as_deref(), call.name.as_deref(), call.is_dry_run()), (Some("a"), Some("shop"), true));
        assert_eq!(read("GET", "/apis/serverless.alipay.com/v1alpha1/bases?watch=1").verb, Verb::Watch);
        assert_eq!(read("GET", "/api/v1/namespaces/a/events").target, Target::Events);
        assert_eq!(read("GET", "/api/v1/namespaces/a").target, Target::Namespaces);
        assert_eq!(read("GET", "/apis/serverless.alipay.com/v1alpha1/namespaces/a/modules/b/scale").target, Target::Path);
        assert_eq!(read("GET", "/apis/apps/v1/deployments").target, Target::Path);
    }
}
