import type { AudioClip, Clip, VideoClip } from './clip.ts'
import { stampNal } from './frame-stamp.ts'
import { aacPayload, h264Payloads, hevcPayloads, plainPayloads } from './rtp.ts'

/** One medium of a camera: an endless row of frames, each as long as the others. */
export interface Track {
  media: 'video' | 'audio' | 'application'
  payloadType: number
  clockRate: number
  /** The length of a frame in units of the clock rate. */
  frameTicks: number
  /** Whether the last packet of a frame carries the marker bit. */
  marksFrameEnd: boolean
  /** Whether a client can begin with this frame. */
  isEntryPoint(index: number): boolean
  payloads(index: number): Buffer[]
  /** What the SDP says about it: the values of rtpmap and fmtp. */
  rtpmap: string
  fmtp?: string
}

/** A camera's tracks, in the order of the SDP. */
export function tracksOf(clip: Clip, withMetadata: boolean): Track[] {
  return [
    videoTrack(clip.video),
    ...(clip.audio ? [audioTrack(clip.audio)] : []),
    ...(withMetadata ? [metadataTrack()] : []),
  ]
}

const VIDEO_CLOCK_RATE = 90_000

function videoTrack({ codec, fps, frames, parameterSets }: VideoClip): Track {
  const toPayloads = codec === 'h264' ? h264Payloads : hevcPayloads
  const frameAt = (index: number) => frames[index % frames.length]!
  return {
    media: 'video',
    payloadType: 96,
    clockRate: VIDEO_CLOCK_RATE,
    frameTicks: VIDEO_CLOCK_RATE / fps,
    marksFrameEnd: true,
    isEntryPoint: (index) => frameAt(index).isKeyframe,
    payloads(index) {
      const { isKeyframe, slices, parameterSets: own = parameterSets } = frameAt(index)
      const headers = isKeyframe ? own : []
      return [...headers, stampNal(codec, index), ...slices].flatMap((nal) => toPayloads(nal))
    },
    rtpmap: `${codec === 'h264' ? 'H264' : 'H265'}/${VIDEO_CLOCK_RATE}`,
    fmtp: codec === 'h264' ? h264Fmtp(parameterSets) : hevcFmtp(parameterSets),
  }
}

// RFC 6184, 8.1
function h264Fmtp(parameterSets: Buffer[]): string {
  const profileLevelId = parameterSets[0]!.subarray(1, 4).toString('hex').toUpperCase()
  const sets = parameterSets.map((set) => set.toString('base64')).join(',')
  return `packetization-mode=1;profile-level-id=${profileLevelId};sprop-parameter-sets=${sets}`
}

// RFC 7798, 7.1
function hevcFmtp(parameterSets: Buffer[]): string {
  const [vps, sps, pps] = parameterSets.map((set) => set.toString('base64'))
  return `sprop-vps=${vps};sprop-sps=${sps};sprop-pps=${pps}`
}

function audioTrack({ codec, sampleRate, samplesPerFrame, frames, config }: AudioClip): Track {
  const frameAt = (index: number) => frames[index % frames.length]!
  const common = {
    media: 'audio',
    clockRate: sampleRate,
    frameTicks: samplesPerFrame,
    isEntryPoint: () => true,
  } as const
  if (codec === 'aac') {
    return {
      ...common,
      payloadType: 97,
      marksFrameEnd: true,
      payloads: (index) => [aacPayload(frameAt(index))],
      rtpmap: `mpeg4-generic/${sampleRate}/1`,
      // RFC 3640, 4.1
      fmtp: `streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=${config.toString('hex')}`,
    }
  }
  return {
    ...common,
    // RFC 3551, 6: static payload types
    payloadType: codec === 'pcmu' ? 0 : 8,
    marksFrameEnd: false,
    payloads: (index) => [frameAt(index)],
    rtpmap: `${codec.toUpperCase()}/${sampleRate}`,
  }
}

function metadataTrack(): Track {
  return {
    media: 'application',
    payloadType: 107,
    clockRate: 90_000,
    frameTicks: 90_000,
    marksFrameEnd: true,
    isEntryPoint: () => true,
    payloads: (index) =>
      plainPayloads(
        Buffer.from(
          `<?xml version="1.0" encoding="UTF-8"?><tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"><tt:Extension><Second>${index}</Second></tt:Extension></tt:MetadataStream>`,
        ),
      ),
    rtpmap: 'vnd.onvif.metadata/90000',
  }
}
