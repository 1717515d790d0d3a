import { memoryFor } from '../daemon/memory-limit.ts'
import { lastLine, runTool, ToolError } from './run-tool.ts'

/** What a player would find in a file. */
export interface Media {
  durationSeconds: number
  streams: MediaStream[]
}

interface MediaStream {
  type: string
  codec: string
  /** Its four-character code, `avc1` or `hev1`. */
  tag: string
  packets: number
}

/** What FFmpeg keeps of each frame of a plain MP4; where that is more than its memory, it says that there is no frame. */
const bytesPerFrame = 24

export type ProbeVerdict = { playable: Media } | { invalid: string }

const contentIsInvalid =
  /moov atom not found|Invalid data found|End of file|Not yet implemented in FFmpeg/

/**
 * Reads a whole MP4 file as a player would. `invalid` only if ffprobe ran, ended by itself, and
 * said so of the content; whatever else goes wrong is a ToolError.
 */
export async function probeMedia(
  ffprobe: string,
  path: string,
  signal: AbortSignal,
): Promise<ProbeVerdict> {
  const args = [
    ...['-v', 'error', '-f', 'mp4', '-protocol_whitelist', 'file', '-count_packets'],
    ...['-show_entries', 'stream=codec_type,codec_name,codec_tag_string,nb_frames,nb_read_packets'],
    ...['-show_entries', 'format=duration', '-of', 'json', `file:${path}`],
  ]
  const end = await runTool(ffprobe, args, 10 * 60_000, signal)
  const said = lastLine(end.stderr)
    .replaceAll(`file:${path}`, '')
    .replace(/^[:\s]+/, '')
  if (end.code !== 0) {
    if (contentIsInvalid.test(end.stderr)) return { invalid: said }
    // It could read the file, and finds nothing to say of it.
    if (end.code === 1 && said === '' && end.stdout.startsWith('{'))
      return { invalid: 'ffprobe can say nothing of it' }
    throw new ToolError(`ffprobe ended with ${end.code}: ${said}`)
  }
  const output = JSON.parse(end.stdout) as ProbeOutput
  if (claimedFrames(output) * bytesPerFrame > memoryFor.copying)
    throw new ToolError('it claims more frames than fit into memory', { outOfMemory: true })
  const media = mediaOf(output)
  const plays = media.streams.some(
    ({ type, packets }) => packets > 0 && (type === 'video' || type === 'audio'),
  )
  if (plays) return { playable: media }
  return { invalid: 'no playable stream' }
}

/** The codec of the first stream of a type, or `none`. */
export function codecOf(media: Media, type: 'video' | 'audio'): string {
  return media.streams.find((stream) => stream.type === type)?.codec ?? 'none'
}

interface ProbeOutput {
  streams?: Record<string, string | undefined>[]
  format?: { duration?: string }
}

function claimedFrames({ streams = [] }: ProbeOutput): number {
  return streams.reduce((sum, stream) => sum + (Number(stream.nb_frames) || 0), 0)
}

function mediaOf({ streams = [], format = {} }: ProbeOutput): Media {
  return {
    durationSeconds: Number(format.duration) || 0,
    streams: streams.map((stream) => ({
      type: stream.codec_type ?? 'unknown',
      codec: stream.codec_name ?? 'unknown',
      tag: stream.codec_tag_string ?? '',
      packets: Number(stream.nb_read_packets) || 0,
    })),
  }
}
