//! What all resources have: names, labels, versions, owners, conditions. The fields and their meaning are those of Kubernetes' API
//! conventions, so that its clients read and write them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use utoipa::ToSchema;

/// A moment, in milliseconds since the Unix epoch; on the wire RFC 3339 in UTC, with a fraction where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub u64);

impl Time {
    /// The moment `duration` after this one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago this was at `now`; zero where it is yet to come.
    #[must_use]
    pub fn elapsed(self, now: Self) -> Duration {
        Duration::from_millis(now.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time: SystemTime = UNIX_EPOCH + Duration::from_millis(self.0);
        match self.0 % 1000 {
            0 => write!(f, "{}", humantime::format_rfc3339_seconds(time)),
            _ => write!(f, "{}", humantime::format_rfc3339_millis(time)),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(|error| de::Error::custom(format!("{text:?} is no RFC 3339 time: {error}")))?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| de::Error::custom(format!("{text:?} is before 1970")))?;
        Ok(Self(u64::try_from(since.as_millis()).map_err(de::Error::custom)?))
    }
}

/// Metadata of a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its name, unique among those of its kind in its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A prefix, from which a name is made where none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Tells it from another one that had the same name before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Changes with every write; a write that names an older one is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Rises when what is wanted changes.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Time>,
    /// Since when it is to go. It goes once it has no finalizers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Time>,
    /// How long it may take to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// What it is selected by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What else is noted at it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it goes with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Who still has something to do before it may go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Who set which of its fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub managed_fields: Vec<Value>,
}

impl Meta {
    /// Where it is found.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Whether it is to go.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The value of a label, if it has it.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

/// Where a resource is found among those of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The resource `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The resource that another goes with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it is the one that made it.
    #[serde(skip_serializing_if = "is_false")]
    pub controller: bool,
    /// Whether it stays until this one is gone.
    #[serde(skip_serializing_if = "is_false")]
    pub block_owner_deletion: bool,
}

/// One thing that is said of a resource; at most one of each type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// What is said.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is so.
    pub status: Truth,
    /// The generation of which it is said.
    pub observed_generation: i64,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none", alias = "last_transition_time")]
    pub last_transition_time: Option<Time>,
    /// One word for why.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Truth {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl From<bool> for Truth {
    fn from(is_so: bool) -> Self {
        if is_so { Self::True } else { Self::False }
    }
}

/// Says `condition`, in place of what was said under its type; its time is `now` only where the status is another than before.
pub fn say(conditions: &mut Vec<Condition>, mut condition: Condition, now: Time) {
    match conditions.iter_mut().find(|said| said.kind == condition.kind) {
        Some(said) => {
            let same = said.status == condition.status;
            condition.last_transition_time = if same { said.last_transition_time } else { Some(now) };
            *said = condition;
        }
        None => {
            condition.last_transition_time = Some(now);
            conditions.push(condition);
        }
    }
}

/// Chooses resources by their labels. The empty one chooses all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// And all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Operator {
    /// It has one of the values.
    #[default]
    In,
    /// It has none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether it chooses what has these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }

    /// Whether it requires nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// So many, or so many of a hundred, as `"25%"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// So many.
    Int(i32),
    /// So many of a hundred: a number and `%`.
    Percent(String),
}

impl IntOrPercent {
    /// How many of `all` that is, rounded up; none where the text is no percentage.
    #[must_use]
    pub fn of(&self, all: u32) -> Option<u32> {
        match self {
            Self::Int(count) => u32::try_from(*count).ok(),
            Self::Percent(text) => {
                let percent: u32 = text.strip_suffix('%')?.parse().ok().filter(|percent| *percent <= 100)?;
                Some(u32::try_from((u64::from(all) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX))
            }
        }
    }
}

pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        for (time, text) in
            [(0, "1970-01-01T00:00:00Z"), (1_700_000_000_000, "2023-11-14T22:13:20Z"), (1_700_000_000_040, "2023-11-14T22:13:20.040Z")]
        {
            assert_eq!(Time(time).to_string(), text);
            assert_eq!(serde_json::from_value::<Time>(Value::from(text)).unwrap(), Time(time));
        }
        assert!(serde_json::from_value::<Time>(Value::from("yesterday")).is_err());
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let mut conditions = Vec::new();
        let said = |status, reason: &str| Condition { kind: "Available".into(), status, reason: reason.into(), ..Condition::default() };
        say(&mut conditions, said(Truth::False, "A"), Time(1));
        say(&mut conditions, said(Truth::False, "B"), Time(2));
        assert_eq!((conditions.len(), conditions[0].last_transition_time, conditions[0].reason.as_str()), (1, Some(Time(1)), "B"));
        say(&mut conditions, said(Truth::True, "C"), Time(3));
        assert_eq!(conditions[0].last_transition_time, Some(Time(3)));
    }

    #[test]
    fn a_selector_chooses_by_every_requirement() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("kind".to_owned(), "wasm".to_owned())]);
        let requirement = |key: &str, operator, values: &[&str]| Requirement {
            key: key.into(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let chooses = |requirement| Selector { match_expressions: vec![requirement], ..Selector::default() }.matches(&labels);
        assert!(Selector::default().matches(&labels));
        assert!(chooses(requirement("zone", Operator::In, &["a", "b"])) && !chooses(requirement("zone", Operator::In, &["b"])));
        assert!(chooses(requirement("zone", Operator::NotIn, &["b"])) && !chooses(requirement("zone", Operator::NotIn, &["a"])));
        assert!(chooses(requirement("kind", Operator::Exists, &[])) && !chooses(requirement("kind", Operator::DoesNotExist, &[])));
        assert!(chooses(requirement("none", Operator::NotIn, &["a"])) && chooses(requirement("none", Operator::DoesNotExist, &[])));
    }

    #[test]
    fn a_percentage_is_rounded_up() {
        assert_eq!(IntOrPercent::Percent("25%".into()).of(10), Some(3));
        assert_eq!(IntOrPercent::Int(2).of(10), Some(2));
        for wrong in ["25", "101%", "-1%", "%"] {
            assert_eq!(IntOrPercent::Percent(wrong.into()).of(10), None);
        }
    }
}
