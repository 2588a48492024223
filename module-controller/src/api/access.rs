//! Who may do what: by token, each with a role. Without tokens, whoever is on this machine may do everything.

use axum::http::{HeaderMap, header};
use fleet::resource::Kind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    call::{Call, Part, Review, Target, Verb},
    status::Refusal,
};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Join the fleet as a base, and nothing else.
    Base,
    /// Look at everything.
    Read,
    /// Look at everything, deploy modules, and replace instances.
    Deploy,
    /// Everything.
    Admin,
}

impl Role {
    const ALL: [Self; 4] = [Self::Base, Self::Read, Self::Deploy, Self::Admin];

    /// As the file of tokens says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    /// The paths by which bases join.
    fn joins(path: &str) -> bool {
        matches!(path, "/tunnel" | "/heartbeat" | "/queryBaseline")
    }

    fn may(self, verb: &str, resource: &str, part: &str) -> bool {
        let looks = matches!(verb, "get" | "list" | "watch");
        match self {
            Self::Admin => true,
            Self::Base => false,
            Self::Read => looks,
            Self::Deploy => match (resource, part) {
                _ if looks => true,
                ("moduledeployments", "" | "scale") => true,
                ("modules", "") => matches!(verb, "delete" | "deletecollection"),
                ("namespaces", "") => verb == "create",
                _ => false,
            },
        }
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    digest: [u8; 32],
    role: Role,
    name: String,
}

impl Token {
    /// Whoever shows `secret` is `name`, and may do what `role` says.
    #[must_use]
    pub fn new(secret: &str, role: Role, name: &str) -> Self {
        Self { digest: Sha256::digest(secret).into(), role, name: name.to_owned() }
    }

    /// Reads a file of tokens: lines of `token,role,name`; blank lines and those that begin with `#` do not count.
    ///
    /// # Errors
    /// Which line cannot be read, and why.
    pub fn read(text: &str) -> Result<Vec<(String, Self)>, String> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(index, line)| {
                let number = index + 1;
                let mut parts = line.splitn(3, ',').map(str::trim);
                let (secret, role, name) =
                    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let known = Role::ALL.into_iter().find(|known| known.as_str() == role);
                match known {
                    _ if secret.is_empty() || name.is_empty() => Err(format!("line {number}: write token,role,name")),
                    None => Err(format!("line {number}: {role:?} is none of base, read, deploy, admin")),
                    Some(role) => Ok((secret.to_owned(), Self::new(secret, role, name))),
                }
            })
            .collect()
    }

    /// What it allows.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Shown as `Authorization: Bearer …`.
    pub tokens: Vec<Token>,
    /// Whether the connection itself has proven who calls, by a client certificate. That is enough where there are no tokens.
    pub certified: bool,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl Access {
    /// Whether callers have to prove nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && !self.certified
    }

    /// Who it is.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if self.tokens.is_empty() && self.certified {
            return Ok(Caller { name: "certificate".to_owned(), role: Role::Admin });
        }
        if self.tokens.is_empty() {
            return if daemon::page::may_have_sent(headers) {
                Err(Refusal::unauthorized("a web page may not call this controller; give it tokens to allow it"))
            } else {
                Ok(Caller { name: "local".to_owned(), role: Role::Admin })
            };
        }
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
        let Some(shown) = shown else {
            return Err(Refusal::unauthorized("this controller wants a token: send `Authorization: Bearer …`"));
        };
        let digest: [u8; 32] = Sha256::digest(shown.trim()).into();
        // All are compared, so that the time tells nothing.
        let found = self.tokens.iter().fold(None, |found, token| if token.digest.ct_eq(&digest).into() { Some(token) } else { found });
        let token = found.ok_or_else(|| Refusal::unauthorized("this controller does not know this token"))?;
        Ok(Caller { name: token.name.clone(), role: token.role })
    }
}

impl Caller {
    /// Whether it may do this.
    pub(crate) fn check(&self, call: &Call, path: &str) -> Result<(), Refusal> {
        let may = match call.target {
            Target::Review(_) => call.verb == Verb::Create,
            Target::Path if Role::joins(path) => matches!(self.role, Role::Base | Role::Admin),
            target => self.role.may(call.verb.as_str(), target.plural(), call.part.as_str()),
        };
        if may {
            return Ok(());
        }
        let part = match call.part {
            Part::Main => String::new(),
            part => format!("/{}", part.as_str()),
        };
        let what = match call.target {
            Target::Path => format!("{} {path}", call.verb.as_str()),
            target => format!("{} {}{part}", call.verb.as_str(), target.qualified()),
        };
        let why = format!("{:?} has the role {:?}, which does not allow to {what}", self.name, self.role.as_str());
        Err(Refusal::forbidden(call.target, call.name.as_deref().unwrap_or_default(), &why))
    }

    /// Answers what it asks of itself.
    pub(super) fn review(&self, review: Review, target: Target, asked: &Value) -> Value {
        let text = |pointer: &str| asked.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (spec, status) = match review {
            Review::Access => {
                let allowed = if asked.pointer("/spec/resourceAttributes").is_some() {
                    let of = |name: &str| text(&format!("/spec/resourceAttributes/{name}"));
                    let known = matches!(of("resource"), "*" | "events" | "namespaces")
                        || Kind::ALL.iter().any(|kind| kind.plural() == of("resource"));
                    known && self.role.may(of("verb"), of("resource"), of("subresource"))
                } else {
                    let (path, verb) = (text("/spec/nonResourceAttributes/path"), text("/spec/nonResourceAttributes/verb"));
                    self.role.may(verb, "", "") || self.role == Role::Base && Role::joins(path)
                };
                let reason = format!("{:?} has the role {:?}", self.name, self.role.as_str());
                (asked.get("spec").cloned().unwrap_or_default(), json!({"allowed": allowed, "reason": reason}))
            }
            Review::Rules => {
                let rule = |verbs: &[&str], resources: &[&str]| json!({"verbs": verbs, "apiGroups": ["*"], "resources": resources});
                let (all, looking) = (["*"], ["get", "list", "watch"]);
                let rules = match self.role {
                    Role::Admin => vec![rule(&all, &["*"])],
                    Role::Base => Vec::new(),
                    Role::Read => vec![rule(&looking, &["*"])],
                    Role::Deploy => vec![
                        rule(&looking, &["*"]),
                        rule(&all, &["moduledeployments", "moduledeployments/scale"]),
                        rule(&["delete", "deletecollection"], &["modules"]),
                        rule(&["create"], &["namespaces"]),
                    ],
                };
                (json!({}), json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": false}))
            }
            Review::Subject => {
                let user = json!({"username": self.name, "groups": [format!("role:{}", self.role.as_str())]});
                (json!({}), json!({"userInfo": user}))
            }
        };
        json!({"kind": target.kind(), "apiVersion": target.api_version(), "metadata": {"creationTimestamp": null}, "spec": spec, "status": status})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    fn may(role: Role, method: &str, path: &str) -> bool {
        let call = Call::read(&method.parse().unwrap(), &path.parse().unwrap());
        Caller { name: "x".to_owned(), role }.check(&call, path).is_ok()
    }

    #[test]
    fn each_role_may_do_what_it_says_and_no_more() {
        let root = "/apis/serverless.alipay.com/v1alpha1/namespaces/a";
        for (method, path, allowed) in [
            ("GET", "moduledeployments", &[Role::Read, Role::Deploy, Role::Admin][..]),
            ("POST", "moduledeployments", &[Role::Deploy, Role::Admin]),
            ("PATCH", "moduledeployments/x/scale", &[Role::Deploy, Role::Admin]),
            ("PATCH", "moduledeployments/x/status", &[Role::Admin]),
            ("DELETE", "modules/x", &[Role::Deploy, Role::Admin]),
            ("PATCH", "bases/x", &[Role::Admin]),
            ("DELETE", "bases/x", &[Role::Admin]),
        ] {
            for role in Role::ALL {
                assert_eq!(may(role, method, &format!("{root}/{path}")), allowed.contains(&role), "{role:?} {method} {path}");
            }
        }
        assert!(may(Role::Base, "GET", "/tunnel") && !may(Role::Deploy, "GET", "/tunnel") && !may(Role::Base, "GET", "/metrics"));
    }

    #[test]
    fn a_token_says_who_calls() {
        let tokens =
            Token::read("# ours\nsecret,deploy,ci\n\nother , read , a, b\n").unwrap().into_iter().map(|(_, token)| token).collect();
        let access = Access { tokens, certified: true };
        let caller = |token: &str| access.caller(&headers(header::AUTHORIZATION, &format!("Bearer {token}"))).ok();
        assert_eq!(caller("secret"), Some(Caller { name: "ci".to_owned(), role: Role::Deploy }));
        assert_eq!(caller("other").map(|caller| caller.name), Some("a, b".to_owned()));
        assert_eq!(caller("none"), None);
        assert!(access.caller(&HeaderMap::new()).is_err());
        assert!(Token::read("a,root,b").is_err() && Token::read("a,read").is_err());
    }

    #[test]
    fn a_web_page_cannot_call_an_open_controller() {
        let access = Access::default();
        assert!(access.caller(&headers(header::ORIGIN, "http://evil.example")).is_err());
        assert!(access.caller(&headers(header::HOST, "evil.example:7777")).is_err());
        for host in ["127.0.0.1:7777", "localhost:7777", "[::1]:7777", "controller"] {
            assert!(access.caller(&headers(header::HOST, host)).is_ok(), "{host}");
        }
    }
}
