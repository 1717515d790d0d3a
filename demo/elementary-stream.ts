export type VideoCodec = 'h264' | 'hevc'

export interface VideoFrame {
  isKeyframe: boolean
  /** The slices only: delimiters, SEI and parameter sets are left out. */
  slices: Buffer[]
  /** Parameter sets of a keyframe that differ from those that the camera announces. */
  parameterSets?: Buffer[]
}

interface NalTypes {
  of(nal: Buffer): number
  delimiter: number
  parameterSets: number[]
  sei: number[]
  keyframeSlices: number[]
}

// H.264: ITU-T H.264 table 7-1. HEVC: ITU-T H.265 table 7-1.
const NAL_TYPES: Record<VideoCodec, NalTypes> = {
  h264: {
    of: (nal) => nal[0]! & 0x1f,
    delimiter: 9,
    parameterSets: [7, 8],
    sei: [6],
    keyframeSlices: [5],
  },
  hevc: {
    of: (nal) => (nal[0]! >> 1) & 0x3f,
    delimiter: 35,
    parameterSets: [32, 33, 34],
    sei: [39, 40],
    keyframeSlices: [16, 17, 18, 19, 20, 21],
  },
}

/** Splits an Annex B stream in which every frame begins with an access unit delimiter. */
export function splitVideo(codec: VideoCodec, stream: Buffer) {
  const types = NAL_TYPES[codec]
  const frames: VideoFrame[] = []
  const parameterSets = new Map<number, Buffer>()
  for (const nal of splitNals(stream)) {
    const type = types.of(nal)
    const frame = frames.at(-1)
    if (type === types.delimiter) {
      frames.push({ isKeyframe: false, slices: [] })
    } else if (types.parameterSets.includes(type)) {
      parameterSets.set(type, nal)
    } else if (frame && !types.sei.includes(type)) {
      frame.slices.push(nal)
      frame.isKeyframe ||= types.keyframeSlices.includes(type)
    }
  }
  return { frames, parameterSets: types.parameterSets.map((type) => parameterSets.get(type)!) }
}

/** Splits an ADTS stream (ISO 14496-3, 1.A.2.2) into its AAC frames and their AudioSpecificConfig. */
export function splitAdts(stream: Buffer): { frames: Buffer[]; config: Buffer } {
  const frames: Buffer[] = []
  for (let at = 0; at + 7 <= stream.length;) {
    const headerBytes = stream[at + 1]! & 1 ? 7 : 9
    const frameBytes = (stream.readUInt32BE(at + 2) >> 5) & 0x1fff
    frames.push(stream.subarray(at + headerBytes, at + frameBytes))
    at += frameBytes
  }
  const profile = stream[2]! >> 6
  const rateIndex = (stream[2]! >> 2) & 0x0f
  const channels = (stream.readUInt16BE(2) >> 6) & 0x07
  const config = Buffer.alloc(2)
  config.writeUInt16BE(((profile + 1) << 11) | (rateIndex << 7) | (channels << 3))
  return { frames, config }
}

/** Cuts a stream into frames of equal size; a shorter rest is left out. */
export function splitEvenly(stream: Buffer, frameBytes: number): Buffer[] {
  return Array.from({ length: Math.floor(stream.length / frameBytes) }, (_, index) =>
    stream.subarray(index * frameBytes, (index + 1) * frameBytes),
  )
}

const START_CODE = Buffer.from([0, 0, 1])

function* splitNals(stream: Buffer): Generator<Buffer> {
  let start = stream.indexOf(START_CODE)
  while (start >= 0) {
    const next = stream.indexOf(START_CODE, start + START_CODE.length)
    let end = next < 0 ? stream.length : next
    while (stream[end - 1] === 0) end -= 1 // belongs to the next start code, or is padding
    yield stream.subarray(start + START_CODE.length, end)
    start = next
  }
}
