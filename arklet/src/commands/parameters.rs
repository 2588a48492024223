//! The parameters of a command: one JSON object, read as leniently as clients expect.

use std::collections::BTreeMap;

use ark_model::{Activation, Grants, InstallOrder, ModuleId};
use serde_json::{Map, Value, json};

use super::Reply;

/// The members of a request's body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parameters {
    members: Map<String, Value>,
    /// Whether there was a body at all.
    given: bool,
}

impl Parameters {
    /// An empty body and `null` are no parameters; whatever else is no object is a mistake.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(&String::from_utf8_lossy(body)) {
            Ok(Value::Object(members)) => Ok(Self { members, given: true }),
            Ok(Value::Null) => Ok(Self::default()),
            Ok(_) => Err("the body is JSON but no object; send an object with the command's parameters".to_owned()),
            Err(error) => Err(format!("the body is no JSON: {error}")),
        }
    }

    pub(crate) fn of(value: &Value) -> Self {
        Self { members: value.as_object().cloned().unwrap_or_default(), given: true }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given
    }

    /// A text that is not blank. Numbers and the like count as their text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let text = match self.members.get(key)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.trim().is_empty()).then_some(text)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    fn is_async(&self) -> bool {
        matches!(self.members.get("async"), Some(Value::Bool(true))) || self.members.get("async").and_then(Value::as_str) == Some("true")
    }

    /// Name and version, both required.
    pub(crate) fn required_id(&self) -> Result<ModuleId, Reply> {
        if !self.given {
            return Err(Reply::invalid("request is null"));
        }
        let name = self.text("bizName").ok_or_else(|| Reply::invalid("bizName should not be blank"))?;
        let version = self.text("bizVersion").ok_or_else(|| Reply::invalid("bizVersion should not be blank"))?;
        ModuleId::new(name, version).map_err(|invalid| Reply::invalid(invalid.to_string()))
    }

    /// The id of an asynchronous request; none where it is synchronous.
    pub(crate) fn request_id_if_async(&self) -> Result<Option<String>, Reply> {
        match (self.is_async(), self.text("requestId")) {
            (false, _) => Ok(None),
            (true, None) => Err(Reply::invalid("requestId should not be blank when async is true")),
            (true, Some(id)) if id.len() > 256 => Err(Reply::invalid("requestId is longer than 256 bytes")),
            (true, Some(id)) => Ok(Some(id)),
        }
    }

    /// The order that `installBiz` asks for.
    pub(crate) fn order(&self) -> Result<InstallOrder, Reply> {
        if !self.given {
            return Err(Reply::invalid("request is null"));
        }
        let url = self.text("bizUrl").ok_or_else(|| Reply::invalid("bizUrl should not be blank"))?;
        let id = match (self.text("bizName"), self.text("bizVersion")) {
            (None, None) => None,
            (Some(name), Some(version)) => Some(ModuleId::new(name, version).map_err(|invalid| Reply::invalid(invalid.to_string()))?),
            _ => return Err(Reply::invalid("bizName and bizVersion should be both blank or both not blank.")),
        };
        let activation = match self.text("installStrategy").as_deref() {
            None => None,
            Some("uninstallThenInstall") => Some(Activation::Switch),
            // Unknown ones have always meant this.
            Some(_) => Some(Activation::Keep),
        };
        let args =
            self.value("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let env: BTreeMap<String, String> = self
            .value("envs")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        Ok(InstallOrder { id, url, activation, args, grants: Grants { env, ..Grants::default() }, ..InstallOrder::default() })
    }

    /// What was asked, as records repeat it.
    pub(crate) fn meta(&self, install: bool) -> Value {
        let mut meta = self.members.clone();
        if install {
            meta.entry("installStrategy").or_insert_with(|| json!("installOnly"));
        }
        Value::Object(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_refused_in_words() {
        for (body, told) in [("{\"bizName\":", "no JSON"), ("[1,2]", "no object"), ("\"x\"", "no object"), ("  ", "no JSON")] {
            assert!(Parameters::read(body.as_bytes()).unwrap_err().contains(told), "{body}");
        }
        assert_eq!(Parameters::read(b"").unwrap(), Parameters::default());
        assert_eq!(Parameters::read(b"null").unwrap(), Parameters::default());
    }

    #[test]
    fn the_strategies_of_the_wire_mean_what_they_always_meant() {
        let activation = |strategy: &str| {
            let body = format!(r#"{{"bizUrl":"file:///x","installStrategy":{strategy}}}"#);
            Parameters::read(body.as_bytes()).unwrap().order().ok().unwrap().activation
        };
        assert_eq!(activation("null"), None);
        assert_eq!(activation("\"uninstallThenInstall\""), Some(Activation::Switch));
        assert_eq!(activation("\"installOnly\""), Some(Activation::Keep));
        assert_eq!(activation("\"rolling\""), Some(Activation::Keep));
    }

    #[test]
    fn envs_become_environment_variables_whatever_their_type() {
        let order = Parameters::read(br#"{"bizUrl":"file:///x","envs":{"A":"b","N":1}}"#).unwrap().order().ok().unwrap();
        assert_eq!(order.grants.env.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "b".to_owned()), ("N".to_owned(), "1".to_owned())]);
    }
}
