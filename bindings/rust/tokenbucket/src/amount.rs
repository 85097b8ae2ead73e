/// A number of tokens, of which calls take any integer or float: `allow(1)`, `allow(0.5)`, `allow(bytes.len())`.
///
/// An `f32` is the number that it stands for. An integer above 2^53 is rounded to the nearest `f64`; a bucket holds at
/// most 10^15 tokens, so no such amount is ever granted.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Amount(f64);

macro_rules! from_numbers {
    ($($exact:ident)*; $($rounded:ident)*) => {
        $(impl From<$exact> for Amount {
            #[inline]
            fn from(tokens: $exact) -> Amount {
                Amount(tokens.into())
            }
        })*
        $(impl From<$rounded> for Amount {
            #[inline]
            fn from(tokens: $rounded) -> Amount {
                Amount(tokens as f64)
            }
        })*
    };
}

from_numbers!(f64 f32 i8 i16 i32 u8 u16 u32; i64 isize u64 usize);

/// What the library is given.
#[inline]
pub(crate) fn to_tokens(amount: impl Into<Amount>) -> f64 {
    amount.into().0
}
