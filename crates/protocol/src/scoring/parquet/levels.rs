//! Small numbers in runs: levels, and places in a dictionary.

use super::{Odd, odd, thrift::Reader};

/// Reads them one by one.
pub(super) struct Levels<'a> {
    bytes: Reader<'a>,
    /// How many bits each has, at most 32.
    width: u32,
    left: usize,
    run: Run<'a>,
}

#[derive(Clone, Copy)]
enum Run<'a> {
    Same(u32),
    /// Side by side, from that bit on.
    Packed(&'a [u8], usize),
}

impl<'a> Levels<'a> {
    pub fn new(bytes: &'a [u8], width: u32) -> Self {
        Self { bytes: Reader(bytes), width, left: 0, run: Run::Same(0) }
    }

    /// Numbers up to `most`.
    pub fn up_to(bytes: &'a [u8], most: usize) -> Self {
        Self::new(bytes, usize::BITS - most.leading_zeros())
    }

    pub fn next(&mut self) -> Result<u32, Odd> {
        if self.width == 0 {
            return Ok(0);
        }
        while self.left == 0 {
            self.begin()?;
        }
        self.left -= 1;
        match &mut self.run {
            Run::Same(value) => Ok(*value),
            Run::Packed(bytes, at) => {
                let value = bits(bytes, *at, self.width)?;
                *at += self.width as usize;
                Ok(value)
            }
        }
    }

    fn begin(&mut self) -> Result<(), Odd> {
        let head = self.bytes.length()?;
        let (count, width) = (head >> 1, self.width as usize);
        if head & 1 == 0 {
            let bytes = self.bytes.take(width.div_ceil(8))?;
            let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            (self.left, self.run) = (count, Run::Same(value));
            return Ok(());
        }
        // Eight at a time; the last may be cut where no more are wanted.
        let length = count.saturating_mul(width).min(self.bytes.0.len());
        (self.left, self.run) = (count.saturating_mul(8), Run::Packed(self.bytes.take(length)?, 0));
        Ok(())
    }
}

/// A number of so many bits, at most 32, from that bit on.
fn bits(bytes: &[u8], at: usize, width: u32) -> Result<u32, Odd> {
    let end = (at + width as usize).div_ceil(8);
    let part = bytes.get(at / 8..end).ok_or(odd("a page is cut off"))?;
    let window = part.iter().rev().fold(0_u64, |window, byte| window << 8 | u64::from(*byte));
    let mask = (1_u64 << width) - 1;
    Ok((window >> (at % 8) & mask) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
        let mut levels = Levels::new(bytes, width);
        (0..count).map(|_| levels.next().ok()).collect()
    }

    #[test]
    fn runs_and_packed_groups_follow_each_other() {
        // The example of the format: 0 to 7 in three bits each.
        let packed = [0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(read(&packed, 3, 8), Some((0..8).collect()));
        let both = [&[8, 5][..], &packed, &[4, 1]].concat();
        assert_eq!(
            read(&both, 3, 14),
            Some([&[5; 4][..], &[0, 1, 2, 3, 4, 5, 6, 7], &[1; 2]].concat())
        );
        assert_eq!(read(&[2, 0xff, 0xff, 0xff, 0xff], 32, 1), Some(vec![u32::MAX]));
        assert_eq!(read(&[], 0, 3), Some(vec![0; 3]));
    }

    #[test]
    fn what_is_cut_off_or_lies_ends() {
        assert_eq!(read(&[], 1, 1), None);
        assert_eq!(read(&[0, 0, 0], 1, 1), None);
        assert_eq!(read(&[3], 3, 1), None);
        assert_eq!(
            read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7], 8, 1),
            Some(vec![7])
        );
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7], 8, 2), None);
    }
}
