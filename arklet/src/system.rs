//! What the operating system says of this process and its machine.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ark_model::report::Share;

/// Resident memory of this process, in bytes; 0 where that cannot be told.
#[must_use]
pub fn resident_bytes() -> u64 {
    field_of("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// The memory this process may use, in bytes: the control group's limit, else the machine's memory.
#[must_use]
pub fn memory_bytes() -> u64 {
    let group = bounded_memory().map(|share| share.total);
    group.or_else(|| field_of("/proc/meminfo", "MemTotal:").map(|kib| kib * 1024)).unwrap_or(0)
}

/// How much memory the control group may use that bounds this process most tightly, and how much it uses that could not be taken back
/// from it, in bytes; none where no group has a bound.
#[must_use]
pub fn bounded_memory() -> Option<Share> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().trim_end_matches('/');
    let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    // Each group of the path bounds those within it.
    let groups = Path::new("/sys/fs/cgroup").join(own);
    let bounds = groups.ancestors().take_while(|group| group.starts_with("/sys/fs/cgroup"));
    let (total, group) = bounds.filter_map(|group| Some((number(group.join("memory.max"))?, group))).min_by_key(|(total, _)| *total)?;
    let cached = field_of(group.join("memory.stat"), "inactive_file").unwrap_or(0);
    let used = number(group.join("memory.current")).map_or_else(resident_bytes, |all| all.saturating_sub(cached));
    Some(Share { total, used })
}

/// Memory that could be used now, in bytes.
#[must_use]
pub fn available_bytes() -> u64 {
    field_of("/proc/meminfo", "MemAvailable:").unwrap_or(0) * 1024
}

/// The processor's name.
#[must_use]
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Shares of processor time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cpu {
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
    /// Unused.
    pub free: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    user: u64,
    system: u64,
    idle: u64,
}

/// The machine's processor time since the call before; since its start at the first.
#[must_use]
pub fn cpu() -> Cpu {
    static BEFORE: Mutex<Ticks> = Mutex::new(Ticks { user: 0, system: 0, idle: 0 });
    let now = ticks().unwrap_or_default();
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let (user, system, idle) =
        (now.user.saturating_sub(before.user), now.system.saturating_sub(before.system), now.idle.saturating_sub(before.idle));
    let all = user + system + idle;
    if all == 0 {
        return Cpu { free: 100.0, ..Cpu::default() };
    }
    *before = now;
    let share = |part: u64| part as f64 * 100.0 / all as f64;
    Cpu { user: share(user), system: share(system), free: share(idle) }
}

fn ticks() -> Option<Ticks> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let mut fields = text.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    let mut next = || fields.next().unwrap_or(0);
    let (user, nice, system, idle, wait, irq, soft) = (next(), next(), next(), next(), next(), next(), next());
    Some(Ticks { user: user + nice, system: system + irq + soft, idle: idle + wait })
}

fn field_of(path: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
