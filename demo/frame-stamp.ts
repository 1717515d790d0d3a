import type { VideoCodec } from './elementary-stream.ts'

/** Marks our SEI messages: 16 bytes, as ITU-T H.264 D.2.7 wants them, and none of them zero. */
export const STAMP_UUID = Buffer.from('camera-to-s3/v1:', 'ascii')

/** The counter behind the UUID is this many hex digits: as text it needs no emulation prevention. */
export const STAMP_DIGITS = 8

// nal_unit_type 6 in H.264; 39 (PREFIX_SEI_NUT), layer 0, temporal id 1 in HEVC.
const SEI_HEADER: Record<VideoCodec, number[]> = { h264: [0x06], hevc: [0x4e, 0x01] }
const USER_DATA_UNREGISTERED = 5
const TRAILING_BITS = 0x80

/** An SEI NAL that numbers a frame, so that a recording can prove that it has all of them. */
export function stampNal(codec: VideoCodec, counter: number): Buffer {
  return Buffer.concat([
    Buffer.from([...SEI_HEADER[codec], USER_DATA_UNREGISTERED, STAMP_UUID.length + STAMP_DIGITS]),
    STAMP_UUID,
    Buffer.from(counter.toString(16).padStart(STAMP_DIGITS, '0'), 'ascii'),
    Buffer.from([TRAILING_BITS]),
  ])
}
