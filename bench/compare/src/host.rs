//! The machine, and the version of Tidings.

use std::fs;
use std::process::Command;

use crate::root;

/// The machine and the version.
#[derive(Debug, Default)]
pub struct Host {
    /// The day.
    pub date: String,
    /// The name of the processor.
    pub processor: String,
    /// The number of cores.
    pub cores: usize,
    /// The memory.
    pub memory_gib: u64,
    /// The name and version of the kernel.
    pub kernel: String,
    /// The load average at the time of the description.
    pub load_average: String,
    /// The version of the compiler.
    pub rustc: String,
    /// The commit that last changed the program.
    pub tidings: String,
}

/// Describes the machine.
///
/// # Errors
///
/// A version is unknown, so the figures would have no meaning.
pub fn describe() -> Result<Host, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kilobytes = memory.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    Ok(Host {
        date: said("date", &["--utc", "+%Y-%m-%d"])?,
        processor: field(&cpu, "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: cpu.lines().filter(|line| line.starts_with("processor")).count(),
        memory_gib: kilobytes.unwrap_or_default().div_ceil(1 << 20),
        kernel: kernel(&said("uname", &["-sr"])?).to_owned(),
        load_average: load_average(),
        rustc: said("rustc", &["--version"])?,
        tidings: commit()?,
    })
}

/// Returns the commit that last changed the program: a later one may have changed its figures only.
fn commit() -> Result<String, String> {
    let root = root().to_string_lossy();
    let git = |arguments: &[&str]| said("git", &[&["-C", &*root], arguments, &PROGRAM].concat());
    let commit = git(&["log", "-1", "--format=%h"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Ok(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// Everything the program is made of.
const PROGRAM: [&str; 4] = ["--", "crates", "Cargo.toml", "Cargo.lock"];

/// Returns the load average of the last minute.
pub fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}

/// Returns the version of the kernel, without the suffix of its builder.
fn kernel(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

/// Returns the value of `name: value`, with blanks or tabs before the colon.
pub fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Returns the output of a program, from standard output or standard error.
///
/// # Errors
///
/// The program cannot be run, or it fails.
pub fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed: {}", said.trim()));
    }
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{field, kernel};

    #[test]
    fn a_kernel_is_its_version() {
        assert_eq!(kernel("Linux 6.12.41+deb13-cloud-amd64"), "Linux 6.12.41+deb13");
        assert_eq!(kernel("Linux 6.18.0"), "Linux 6.18.0");
    }

    #[test]
    fn a_field_is_found_with_blanks_and_with_tabs() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24000000 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24000000 kB"));
        assert_eq!(field(text, "flags"), None);
    }
}
