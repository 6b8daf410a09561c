//! Messages in protocol buffers, with room set aside for small ones.
//!
//! tonic's own codec sets 8 KiB aside for each message that comes and each that goes. A prediction of one row
//! takes a few hundred bytes, which the allocator has at hand; what is longer grows as it comes.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{self, BufferSettings};
use tonic_prost::{ProstDecoder, ProstEncoder};

const ROOM: usize = 512;
/// Of a stream so much is sent at once, as tonic does it.
const AT_ONCE: usize = 32 << 10;

/// tonic's codec of messages, but for the room.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(ROOM, AT_ONCE))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(ROOM, AT_ONCE))
    }
}
