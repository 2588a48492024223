//! Data as text for people. Plain functions: the same data gives the same text.

use ark_model::{
    Timing,
    api::{BaseView, ModuleView, Retired, RouteList},
};
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::output;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn lines(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1_024.0, 0);
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).unwrap_or(&""))
}

/// A number of milliseconds.
pub(crate) fn millis(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{:.2} s", ms / 1_000.0) } else { format!("{ms:.1} ms") }
}

pub(crate) fn modules(modules: &[ModuleView]) -> String {
    if modules.is_empty() {
        return "no modules; deploy one with `arkctl deploy`".to_owned();
    }
    let mut table = table(&["NAME", "VERSION", "STATE", "PATH", "BUILD", "SIZE", "REQUESTS", "P99"]);
    for module in modules {
        table.add_row(vec![
            Cell::new(module.id.name()),
            Cell::new(module.id.version()),
            Cell::new(module.state.as_str()),
            Cell::new(&module.context_path),
            Cell::new(&module.build),
            right(bytes(module.package_bytes)),
            right(module.traffic.requests),
            right(millis(module.traffic.p99_ms)),
        ]);
    }
    lines(&table)
}

pub(crate) fn module(module: &ModuleView) -> String {
    let mut text = format!("{}  {}\n", module.id, output::state(module.state));
    if let Some(failure) = &module.failure {
        let step = failure.step.map_or_else(String::new, |step| format!(" in {step}"));
        text += &format!("  {}{step}: {}\n", failure.reason, failure.message);
    }
    let hosts = if module.hosts.is_empty() { "any".to_owned() } else { module.hosts.join(", ") };
    for (name, value) in [
        ("kind", format!("{} {}", module.kind, module.build)),
        ("answers at", format!("{} on {hosts} host, weight {}", module.context_path, module.weight)),
        ("package", format!("{} sha256:{}", bytes(module.package_bytes), module.sha256)),
        ("from", module.url.clone()),
        (
            "memory",
            format!("at most {} an instance, {} used at most", bytes(module.limits.memory_bytes), bytes(module.traffic.peak_memory_bytes)),
        ),
        (
            "requests",
            format!(
                "{} ({} failed, {} refused, {} in flight), p50 {}, p99 {}",
                module.traffic.requests,
                module.traffic.failures,
                module.traffic.refused,
                module.traffic.in_flight,
                millis(module.traffic.p50_ms),
                millis(module.traffic.p99_ms)
            ),
        ),
    ] {
        text += &format!("  {name:<10}  {}\n", value.trim());
    }
    text += "\n";
    text += &timings(&module.timings);
    text += "\n\n";
    for record in &module.history {
        text +=
            &format!("  {}  {:<11}  {:?} {}\n", output::clock(record.change_time), record.state.as_str(), record.reason, record.message);
    }
    text
}

pub(crate) fn timings(timings: &[Timing]) -> String {
    let rows: Vec<String> = timings.iter().map(|timing| format!("  {:<10} {:>10}", timing.step.as_str(), millis(timing.ms))).collect();
    rows.join("\n")
}

pub(crate) fn retired(retired: &Retired) -> String {
    let verdict = &retired.verdict;
    let list = |resources: &[ark_model::Resource]| {
        let amount = |resource: &ark_model::Resource| {
            if resource.unit == "bytes" { bytes(resource.amount) } else { format!("{} {}", resource.amount, resource.unit) }
        };
        resources.iter().map(|resource| format!("{} ({})", resource.what, amount(resource))).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("{} is gone", retired.id);
    if verdict.clean {
        text += "; everything was given back";
    }
    if !verdict.given_back.is_empty() {
        text += &format!(": {}", list(&verdict.given_back));
    }
    if !verdict.held.is_empty() {
        text += &format!("; still held: {}", list(&verdict.held));
    }
    if verdict.cut_requests > 0 {
        text += &format!("; {} requests were cut off at the drain deadline", verdict.cut_requests);
    }
    text
}

pub(crate) fn routes(routes: &RouteList) -> String {
    let mut table = table(&["PATH", "HOST", "ANSWERED BY"]);
    for route in &routes.routes {
        let all: u32 = route.targets.iter().map(|target| target.weight).sum();
        let target = |target: &ark_model::api::RouteTarget| {
            if route.targets.len() == 1 {
                target.id.to_string()
            } else {
                format!("{} {:.0} %", target.id, f64::from(target.weight) * 100.0 / f64::from(all.max(1)))
            }
        };
        let targets: Vec<String> = route.targets.iter().map(target).collect();
        table.add_row(vec![route.context_path.clone(), route.host.clone().unwrap_or_else(|| "any".to_owned()), targets.join(", ")]);
    }
    lines(&table)
}

pub(crate) fn base(base: &BaseView) -> String {
    let mut text = format!("{} {} ({}), {}\n", base.name, base.version, base.identity, if base.ready { "ready" } else { "not ready" });
    for (name, value) in [
        ("cluster", base.cluster.clone()),
        ("modules at", base.gateway.clone()),
        ("runs", base.kinds.join(", ")),
        ("memory", bytes(base.resident_bytes)),
        ("up for", format!("{} s", base.uptime_seconds)),
        ("arklet", base.arklet_version.clone()),
    ] {
        text += &format!("  {name:<10}  {value}\n");
    }
    text
}

/// What each module did between two looks, `seconds` apart.
pub(crate) fn top(before: &[ModuleView], now: &[ModuleView], seconds: f64) -> String {
    let mut table = table(&["MODULE", "REQ/S", "P50", "P99", "IN FLIGHT", "QUEUED", "FAILED", "MEMORY"]);
    for module in now {
        let earlier =
            before.iter().find(|earlier| earlier.id == module.id).map_or(module.traffic.requests, |earlier| earlier.traffic.requests);
        let rate = module.traffic.requests.saturating_sub(earlier) as f64 / seconds.max(0.001);
        table.add_row(vec![
            Cell::new(&module.id),
            right(format!("{rate:.0}")),
            right(millis(module.traffic.p50_ms)),
            right(millis(module.traffic.p99_ms)),
            right(module.traffic.in_flight),
            right(module.traffic.queued),
            right(module.traffic.failures),
            right(bytes(module.traffic.peak_memory_bytes)),
        ]);
    }
    lines(&table)
}

#[cfg(test)]
mod tests {
    use ark_model::{
        ModuleId, Step, Verdict,
        api::{RouteTarget, RouteView},
        order::Resource,
    };

    use super::*;

    #[test]
    fn sizes_and_times_are_told_in_the_unit_that_fits() {
        assert_eq!([0, 1_023, 1_024, 5 << 20, 3 << 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]);
        assert_eq!([0.04, 12.34, 1_234.0].map(millis), ["0.0 ms", "12.3 ms", "1.23 s"]);
    }

    #[test]
    fn routes_show_shares_where_there_are_several() {
        let target = |version: &str, weight| RouteTarget { id: ModuleId::new("orders", version).unwrap(), weight };
        let one = RouteView { host: None, context_path: "/orders".to_owned(), targets: vec![target("1", 90), target("2", 10)] };
        let two = RouteView { host: Some("shop.example".to_owned()), context_path: "/".to_owned(), targets: vec![target("1", 100)] };
        insta::assert_snapshot!(routes(&RouteList { routes: vec![one, two] }), @r"
        PATH     HOST          ANSWERED BY
        /orders  any           orders:1 90 %, orders:2 10 %
        /        shop.example  orders:1
        ");
    }

    #[test]
    fn a_removal_says_what_was_given_back_and_what_was_not() {
        let resource = |what: &str, amount, unit: &str| Resource { what: what.to_owned(), amount, unit: unit.to_owned() };
        let verdict = Verdict {
            clean: false,
            cut_requests: 2,
            given_back: vec![resource("compiled code", 5 << 20, "bytes")],
            held: vec![resource("instances", 1, "instances")],
        };
        let gone = Retired { id: ModuleId::new("a", "1").unwrap(), timings: vec![Timing { step: Step::Drain, ms: 1.0 }], verdict, at: 0 };
        insta::assert_snapshot!(retired(&gone), @"a:1 is gone: compiled code (5.0 MiB); still held: instances (1 instances); 2 requests were cut off at the drain deadline");
    }
}
