//! Pushing 1 GiB against `cp` and `sha256sum` of the same file.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{Result, platform::Platform};

/// How many bytes.
pub const SIZE: usize = 1 << 30;

/// Measures, and prints the ratio.
pub fn run() -> Result<()> {
    let platform = Platform::start()?;
    let file = platform.folder().join("weights.bin");
    let mut ratios = Vec::new();
    anstream::println!("push: 1 GiB file of random bytes");
    for turn in 0..3_u64 {
        // Other bytes each time, or they would be there already.
        fill(&file, turn)?;
        let copy = platform.folder().join("copy.bin");
        let begun = Instant::now();
        run_quietly(Command::new("cp").arg(&file).arg(&copy))?;
        run_quietly(Command::new("sha256sum").arg(&copy))?;
        let reference = begun.elapsed().as_secs_f64();
        std::fs::remove_file(&copy)?;
        let path = file.to_str().ok_or("the path is not UTF-8")?;
        let begun = Instant::now();
        platform.cli(&["push", path, "--name", "weights"])?;
        let ours = begun.elapsed().as_secs_f64();
        anstream::println!("  cp + sha256sum {reference:.2} s   bottega push {ours:.2} s");
        ratios.push(reference / ours);
    }
    anstream::println!("  ratio {:.2} (median)", crate::median(&mut ratios));
    Ok(())
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let done = command.stdout(Stdio::null()).status()?;
    if done.success() { Ok(()) } else { Err(format!("{command:?}: {done}").into()) }
}

/// Bytes that look random (SplitMix64) and differ by seed.
pub fn fill(file: &Path, seed: u64) -> Result<()> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(file)?);
    for _ in 0..SIZE / 8 {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.write_all(&(word ^ (word >> 31)).to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}
