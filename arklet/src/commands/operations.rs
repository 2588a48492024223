//! Records of asynchronous commands: they end, and there is a bound to how many are kept.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::{Reply, parameters::Parameters};
use crate::agent::now;

/// How many records are kept. The oldest that has ended goes first.
const MOST: usize = 1_000;

#[derive(Debug, Clone)]
struct Record {
    meta: Value,
    request_id: String,
    started: u64,
    ended: Option<(u64, Option<String>)>,
}

impl Record {
    fn view(&self) -> Value {
        let ended = self.ended.as_ref();
        let status = match ended {
            None => "EXECUTING",
            Some((_, None)) => "SUCCEEDED",
            Some((_, Some(_))) => "FAILED",
        };
        let mut view = json!({
            "arkBizMeta": self.meta,
            "elapsedTime": ended.map_or(0, |(at, _)| at.saturating_sub(self.started)),
            "endTimestamp": ended.map_or(0, |(at, _)| *at),
            "requestId": self.request_id,
            "startTime": self.started,
            "startTimestamp": self.started,
            "status": status,
            "threadName": "arklet-ops",
        });
        if let (Some((at, message)), Some(members)) = (ended, view.as_object_mut()) {
            members.insert("endTime".to_owned(), (*at).into());
            if let Some(message) = message {
                members.insert("message".to_owned(), message.as_str().into());
            }
        }
        view
    }
}

#[derive(Debug, Default)]
struct Records {
    by_id: HashMap<String, Record>,
    oldest_first: VecDeque<String>,
}

/// All records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operations(Arc<Mutex<Records>>);

impl Operations {
    /// Begins `work` under `request_id`, which must be new, and answers at once.
    pub(super) fn begin(&self, request_id: String, meta: Value, work: impl Future<Output = Reply> + Send + 'static) -> Reply {
        let record = Record { meta, request_id: request_id.clone(), started: now(), ended: None };
        let view = record.view();
        {
            let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if records.by_id.contains_key(&request_id) {
                let message = format!("The request corresponding to the requestId({request_id}) has been executed.");
                return Reply::Failed { message, data: None };
            }
            if !records.make_room() {
                let message = format!("{MOST} asynchronous requests are under way, as many as this base allows; try again later");
                return Reply::Failed { message, data: None };
            }
            records.oldest_first.push_back(request_id.clone());
            records.by_id.insert(request_id.clone(), record);
        }
        let ending = Ending { operations: self.clone(), request_id, message: Some("the operation broke off".to_owned()) };
        tokio::spawn(async move {
            let mut ending = ending;
            ending.message = match work.await {
                Reply::Success(_) => None,
                Reply::Failed { message, .. } if message.contains("conflict, exist unfinished command") => {
                    Some("command conflict, exist unfinished command for this biz".to_owned())
                }
                Reply::Failed { message, .. } | Reply::Internal { message, .. } => Some(message),
            };
        });
        Reply::Success(view)
    }

    pub(super) fn query(&self, parameters: &Parameters) -> Reply {
        if !parameters.is_given() {
            return Reply::invalid("request is null");
        }
        let Some(request_id) = parameters.text("requestId") else {
            return Reply::invalid("requestId is blank");
        };
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match records.by_id.get(&request_id) {
            Some(record) => Reply::Success(record.view()),
            None => Reply::Failed { message: "Not found the corresponding ops record.".to_owned(), data: None },
        }
    }
}

impl Records {
    fn make_room(&mut self) -> bool {
        if self.by_id.len() < MOST {
            return true;
        }
        let ended = |id: &String| self.by_id.get(id).is_none_or(|record| record.ended.is_some());
        let Some(oldest) = self.oldest_first.iter().position(ended) else { return false };
        if let Some(id) = self.oldest_first.remove(oldest) {
            self.by_id.remove(&id);
        }
        true
    }
}

/// Ends a record, however its work ends.
struct Ending {
    operations: Operations,
    request_id: String,
    message: Option<String>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut records = self.operations.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.by_id.get_mut(&self.request_id) {
            record.ended = Some((now(), self.message.take()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(operations: &Operations, id: &str) -> Value {
        match operations.query(&Parameters::of(&json!({"requestId": id}))) {
            Reply::Success(view) => view,
            _ => Value::Null,
        }
    }

    async fn ended(operations: &Operations, id: &str) -> Value {
        loop {
            let view = query(operations, id);
            if view["endTimestamp"] != 0 {
                return view;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_record_ends_also_where_its_work_panics() {
        let operations = Operations::default();
        operations.begin("r".to_owned(), Value::Null, async { panic!("on purpose") });
        assert_eq!(ended(&operations, "r").await["status"], "FAILED");
    }

    #[tokio::test]
    async fn a_conflict_ends_its_record_and_says_so() {
        let operations = Operations::default();
        let conflict = Reply::Failed {
            message: "FAILED:a:1 installBiz conflict, exist unfinished command(installBiz) for this biz".to_owned(),
            data: None,
        };
        operations.begin("r".to_owned(), Value::Null, async { conflict });
        assert_eq!(ended(&operations, "r").await["message"], "command conflict, exist unfinished command for this biz");
    }

    #[tokio::test]
    async fn records_are_bounded_and_none_that_runs_is_forgotten() {
        let operations = Operations::default();
        for number in 0..MOST {
            operations.begin(format!("{number}"), Value::Null, std::future::pending());
        }
        assert!(matches!(operations.begin("more".to_owned(), Value::Null, std::future::pending()), Reply::Failed { .. }));
        operations.0.lock().unwrap().by_id.get_mut("7").unwrap().ended = Some((1, None));
        assert!(matches!(operations.begin("more".to_owned(), Value::Null, std::future::pending()), Reply::Success(_)));
        assert_eq!(query(&operations, "7"), Value::Null);
        assert_eq!(query(&operations, "0")["status"], "EXECUTING");
    }
}
