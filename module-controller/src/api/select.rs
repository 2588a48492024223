//! Selectors as clients write them: `a=b,c!=d,e in (f,g),h,!i` of labels, `a=b,c!=d` of fields.

use std::collections::BTreeMap;

use fleet::resource::{Operator, Requirement, Selector};

use super::{call::Call, item::Item, status::Refusal};

/// Which of many are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    namespace: Option<String>,
    labels: Selector,
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    value: String,
    is_so: bool,
}

impl Choice {
    /// Reads what `call` asks for.
    ///
    /// # Errors
    /// Where a selector cannot be read, or no such field can be asked for.
    pub(crate) fn of(call: &Call) -> Result<Self, Refusal> {
        let labels = call.parameter("labelSelector").map(labels).transpose()?.unwrap_or_default();
        let mut fields = call.parameter("fieldSelector").map(fields).transpose()?.unwrap_or_default();
        for field in &fields {
            if !Item::has_field(call.target, &field.name) {
                return Err(Refusal::bad_request(format!("field label not supported: {}", field.name)));
            }
        }
        if let Some(name) = &call.name {
            fields.push(Field { name: "metadata.name".to_owned(), value: name.clone(), is_so: true });
        }
        Ok(Self { namespace: call.namespace.clone(), labels, fields })
    }

    /// Whether `item` is meant.
    pub(crate) fn takes(&self, item: &Item) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| item.namespace() == namespace)
            && (self.labels.is_empty() || self.labels.matches(item.labels()))
            && self.fields.iter().all(|field| (item.field(&field.name) == field.value) == field.is_so)
    }

    /// Whether all of a place are meant.
    pub(crate) fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

fn fields(text: &str) -> Result<Vec<Field>, Refusal> {
    text.split(',')
        .map(str::trim)
        .filter(|term| !term.is_empty())
        .map(|term| {
            let (name, value, is_so) = if let Some((name, value)) = term.split_once("!=") {
                (name, value, false)
            } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (name, value, true)
            } else {
                return Err(Refusal::bad_request(format!("invalid field selector {term:?}: write field=value or field!=value")));
            };
            Ok(Field { name: name.trim().to_owned(), value: value.trim().to_owned(), is_so })
        })
        .collect()
}

fn labels(text: &str) -> Result<Selector, Refusal> {
    let wrong = |term: &str| Refusal::bad_request(format!("unable to parse requirement: {term:?} is no label selector"));
    let mut selector = Selector { match_labels: BTreeMap::new(), match_expressions: Vec::new() };
    for term in terms(text) {
        let requirement = requirement(term).ok_or_else(|| wrong(term))?;
        let name = requirement.key.rsplit('/').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !is_name {
            return Err(wrong(term));
        }
        selector.match_expressions.push(requirement);
    }
    Ok(selector)
}

/// Splits at commas outside of parentheses.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |letter| {
        match letter {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn requirement(term: &str) -> Option<Requirement> {
    let of = |key: &str, operator, values: &str| Requirement {
        key: key.trim().to_owned(),
        operator,
        values: values.split(',').map(|value| value.trim().to_owned()).collect(),
    };
    let bare = |key: &str, operator| Requirement { key: key.trim().to_owned(), operator, values: [].into() };
    if let Some((head, values)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Some(of(key, Operator::In, values)),
            (Some(key), Some("notin"), None) => Some(of(key, Operator::NotIn, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Some(of(key, Operator::NotIn, value));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(of(key, Operator::In, value));
    }
    match term.strip_prefix('!') {
        Some(key) => Some(bare(key, Operator::DoesNotExist)),
        None => Some(bare(term, Operator::Exists)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_read_as_clients_write_them() {
        let having =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
        let labels_of = having(&[("app", "shop"), ("tier", "web")]);
        for (text, takes) in [
            ("app=shop", true),
            ("app==shop,tier=web", true),
            ("app!=shop", false),
            ("app in (cart, shop),tier", true),
            ("app notin (shop)", false),
            ("!app", false),
            ("!zone", true),
            ("zone", false),
            ("zone!=a", true),
        ] {
            assert_eq!(labels(text).unwrap().matches(&labels_of), takes, "{text}");
        }
        for wrong in ["app in shop", "a b", "=x", "app within (a)"] {
            assert!(labels(wrong).is_err(), "{wrong}");
        }
    }
}
