//! What makes two templates the same revision.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::resource::{DeploymentSpec, ModuleReplicaSet, Template};

/// A short hash of `bytes`: hex digits that may stand in a name.
fn short(bytes: &[u8], digits: usize) -> String {
    Sha256::digest(bytes)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(digits)
        .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
        .collect()
}

/// The name of the revision that `spec` is of `deployment`: the same for the same content, whoever makes it and however often.
///
/// `salt` tells it from another that happened to have the same hash.
#[must_use]
pub fn name(deployment: &str, spec: &DeploymentSpec, salt: i32) -> String {
    let mut content = serde_json::to_value(&spec.template).unwrap_or_default();
    if let Value::Object(content) = &mut content {
        content.insert("restartedAt".to_owned(), spec.restarted_at.clone().into());
        content.insert("salt".to_owned(), salt.into());
    }
    format!("{deployment}-{}", short(content.to_string().as_bytes(), 8))
}

/// The name of the instance of a revision on a base.
#[must_use]
pub fn instance(set: &str, base: &str) -> String {
    format!("{set}-{}", short(base.as_bytes(), 10))
}

/// Whether the revision `set` has the content `template`.
#[must_use]
pub fn is_of(set: &ModuleReplicaSet, template: &Template) -> bool {
    set.spec.template == *template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_named_by_its_content() {
        let mut spec = DeploymentSpec::default();
        spec.template.spec.module.url = "http://packages/a.wasm".into();
        let first = name("shop", &spec, 0);
        assert_eq!(first, name("shop", &spec, 0));
        spec.replicas = 7;
        assert_eq!(first, name("shop", &spec, 0), "how many there are is no part of it");
        let changes: [fn(&mut DeploymentSpec); 5] = [
            |spec| spec.template.spec.module.url.push('2'),
            |spec| spec.template.spec.module.sha256 = Some("00".into()),
            |spec| spec.template.spec.args.push("-v".into()),
            |spec| spec.template.spec.upgrade_policy = Some(crate::resource::UpgradePolicy::UninstallThenInstall),
            |spec| spec.restarted_at = "now".into(),
        ];
        for change in changes {
            let mut other = spec.clone();
            change(&mut other);
            assert_ne!(first, name("shop", &other, 0));
        }
        assert_ne!(first, name("shop", &spec, 1));
    }
}
