//! What can be asked for, by the names that people give it.

use fleet::resource::{API_VERSION, GROUP, GROUP_ALIAS, Kind, VERSION};

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// One of the fleet's own.
    Fleet(Kind),
    /// What happened of late.
    Events,
    /// Where they are.
    Namespaces,
}

impl Resource {
    /// The one that people call `name`: `deployments`, `deployment`, `deploy`, `moduledeployments`, `mddeploy`, …
    ///
    /// # Errors
    /// The names that there are.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        // With its group, as error messages and `apply` write it.
        let lower = name.to_lowercase();
        let plain =
            lower.split_once('.').filter(|(_, group)| [GROUP, GROUP_ALIAS].contains(group)).map_or(lower.as_str(), |(name, _)| name);
        Ok(match plain {
            "deployments" | "deployment" | "deploy" | "moduledeployments" | "moduledeployment" | "mddeploy" => {
                Self::Fleet(Kind::ModuleDeployment)
            }
            "replicasets" | "replicaset" | "rs" | "revisions" | "modulereplicasets" | "modulereplicaset" | "mdrs" => {
                Self::Fleet(Kind::ModuleReplicaSet)
            }
            "modules" | "module" | "md" => Self::Fleet(Kind::Module),
            "bases" | "base" | "bs" => Self::Fleet(Kind::Base),
            "events" | "event" | "ev" => Self::Events,
            "namespaces" | "namespace" | "ns" => Self::Namespaces,
            _ => return Err("it is none of deployments, replicasets, modules, bases, events, namespaces".to_owned()),
        })
    }

    /// What people call it, of many.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Fleet(Kind::ModuleDeployment) => "deployments",
            Self::Fleet(Kind::ModuleReplicaSet) => "replicasets",
            Self::Fleet(Kind::Module) => "modules",
            Self::Fleet(Kind::Base) => "bases",
            Self::Events => "events",
            Self::Namespaces => "namespaces",
        }
    }

    /// Where all of it in a namespace is found, or of all namespaces.
    pub(super) fn all(self, namespace: Option<&str>) -> String {
        let place = |root: &str, plural: &str| match namespace {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", encoded(namespace)),
            None => format!("{root}/{plural}"),
        };
        match self {
            Self::Fleet(kind) => place(&format!("/apis/{API_VERSION}"), kind.plural()),
            Self::Events => place("/api/v1", "events"),
            Self::Namespaces => "/api/v1/namespaces".to_owned(),
        }
    }

    /// Where one is found.
    pub(super) fn one(self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.all(Some(namespace)), encoded(name))
    }
}

/// Where a document of this `apiVersion` and kind is found; none where it is none of the fleet's.
pub(super) fn place(api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<String> {
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let (group, version) = api_version.split_once('/')?;
    let known = [GROUP, GROUP_ALIAS].contains(&group) && version == VERSION;
    known.then(|| format!("/apis/{api_version}/namespaces/{}/{}/{}", encoded(namespace), kind.plural(), encoded(name)))
}

/// `text` as a part of a path, or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_goes_by_all_names_that_people_and_messages_give_it() {
        for name in [
            "deployments",
            "deploy",
            "ModuleDeployment",
            "mddeploy",
            "moduledeployments.serverless.alipay.com",
            "moduledeployment.koupleless.io",
        ] {
            assert_eq!(Resource::named(name), Ok(Resource::Fleet(Kind::ModuleDeployment)), "{name}");
        }
        assert!(Resource::named("deployments.apps").is_err());
        assert!(Resource::named("pods").is_err());
    }

    #[test]
    fn a_document_is_found_under_the_group_that_it_says() {
        let path = place("koupleless.io/v1alpha1", "Module", "a", "b");
        assert_eq!(path.as_deref(), Some("/apis/koupleless.io/v1alpha1/namespaces/a/modules/b"));
        for (version, kind) in
            [("v1", "ConfigMap"), ("apps/v1", "Module"), ("koupleless.io/v1", "Module"), ("koupleless.io/v1alpha1", "Pod")]
        {
            assert_eq!(place(version, kind, "a", "b"), None);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(Resource::Events.one("a", "../b?c=d"), "/api/v1/namespaces/a/events/..%2Fb%3Fc%3Dd");
    }
}
