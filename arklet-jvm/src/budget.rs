//! Whether the VM has room for a module, and what it says of itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ark::Sign;
use ark_jvm::budget::{self, Fill, Space};
use ark_model::{Failure, ModuleId, Reason};

use crate::{inspect, vm};

/// What modules took of the metaspace when they were last installed, in bytes, by the content of their package, or of their layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<HashMap<String, u64>>>);

impl Taken {
    fn of(&self, content: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(content).copied().unwrap_or(0)
    }

    /// Refuses `id` where what its parts took before does not fit any more. Parts are known by their content.
    pub(crate) async fn admit(&self, id: &ModuleId, parts: &[&str]) -> Result<(), Failure> {
        let text = vm::ask(|names| names.spaces).await.unwrap_or_default();
        let mut numbers = text.split(' ').map(|number| number.parse::<i64>().unwrap_or(-1));
        let mut space = |space, predicted| {
            let (used, max) = (numbers.next().unwrap_or(-1), numbers.next().unwrap_or(-1));
            Fill { space, used: u64::try_from(used).unwrap_or(0), max: u64::try_from(max).ok(), predicted }
        };
        let predicted = parts.iter().map(|part| self.of(part)).sum();
        let spaces = [space(Space::Metaspace, predicted), space(Space::ClassSpace, 0), space(Space::Heap, 0)];
        budget::admit(&spaces).map_err(|full| {
            let reason = match full.space {
                Space::Metaspace | Space::ClassSpace => Reason::MetaspaceFull,
                Space::Heap => Reason::BudgetExceeded,
            };
            Failure::new(reason, format!("{id} is not taken in: {full}"))
        })
    }

    /// Remembers what the loaders of these names have taken, each for its content. Nobody waits for it.
    pub(crate) fn learn(&self, parts: Vec<(String, String)>) {
        let taken = self.clone();
        tokio::spawn(async move {
            let loaders = inspect::loaders().await;
            let mut taken = taken.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (content, name) in parts {
                if let Some(usage) = loaders.iter().find(|usage| usage.name == name) {
                    taken.insert(content, usage.bytes);
                }
            }
        });
    }
}

/// What the VM says of itself.
pub(crate) async fn signs() -> Vec<(String, Sign)> {
    let text = vm::ask(|names| names.signs).await.unwrap_or_default();
    let sign = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let (kind, name, value) = (parts.next()?, parts.next()?, parts.next()?);
        let sign = match kind {
            "i" => Sign::Count(value.parse().ok()?),
            "n" => Sign::Number(value.parse().ok()?),
            _ => Sign::Text(value.to_owned()),
        };
        Some((name.to_owned(), sign))
    };
    text.lines().filter_map(sign).collect()
}
