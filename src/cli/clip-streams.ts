import { basename } from 'node:path'
import { lastLine, runTool, type MediaTools } from '../uploader/run-tool.ts'

/** What making a clip takes. */
export interface ClipDeps {
  tools: MediaTools
  /** For temporary files: empty, and removed by whoever made it. */
  folder: string
}

/** A file from some second on, to its end. */
export interface OpenPart {
  path: string
  fromSeconds: number
}

interface Streams {
  video: string
  /** How many units of its time stamps make a second. */
  ticks: string
  /** All that must be the same in files that are joined, in words. */
  text: string
}

export const patienceMs = 30 * 60_000

/** What differs can't be joined without encoding everything anew. */
export async function sameStreams(
  deps: ClipDeps,
  parts: { path: string }[],
  signal: AbortSignal,
): Promise<Streams> {
  let first: { path: string; streams: Streams } | undefined
  for (const { path } of parts) {
    const streams = await streamsOf(deps, path, signal)
    first ??= { path, streams }
    if (streams.text === first.streams.text) continue
    const [a, b] = [basename(first.path), basename(path)]
    throw new Error(
      `${a} (${first.streams.text}) and ${b} (${streams.text}) cannot be joined: make a clip of each`,
    )
  }
  return first?.streams ?? { video: 'none', ticks: '1000', text: 'none' }
}

async function streamsOf(deps: ClipDeps, path: string, signal: AbortSignal): Promise<Streams> {
  const entries = 'stream=codec_type,codec_name,width,height,sample_rate,channels,time_base'
  const said = await ffprobe(deps, ['-show_entries', entries, '-of', 'json', path], signal)
  const { streams = [] } = JSON.parse(said) as { streams?: Record<string, string | number>[] }
  const texts = streams.map((stream) =>
    stream.codec_type === 'video'
      ? `${stream.codec_name} ${stream.width}x${stream.height}, time in ${stream.time_base} s`
      : `${stream.codec_name} ${stream.sample_rate} Hz, ${stream.channels} ch`,
  )
  const video = streams.find(({ codec_type: type }) => type === 'video')
  const ticks = String(video?.time_base ?? '').replace('1/', '')
  return { video: String(video?.codec_name ?? 'none'), ticks, text: texts.join('; ') }
}

/** When the keyframe begins that shows at a moment. */
export async function keyframeBefore(
  deps: ClipDeps,
  path: string,
  atSeconds: number,
  signal: AbortSignal,
): Promise<number> {
  const interval = ['-read_intervals', `${seconds(atSeconds)}%+#1`]
  const entries = [...interval, '-select_streams', 'v:0', '-show_entries', 'packet=pts_time']
  const said = await ffprobe(deps, [...entries, '-of', 'csv=p=0', path], signal)
  return Math.min(atSeconds, Number.parseFloat(said) || 0)
}

/** When the first keyframe begins in a part, if there is one. */
export async function keyframeFrom(
  deps: ClipDeps,
  { path, fromSeconds }: OpenPart,
  signal: AbortSignal,
): Promise<number | undefined> {
  const entries = ['-select_streams', 'v:0', '-show_entries', 'packet=pts_time,flags']
  const interval = ['-read_intervals', `${seconds(fromSeconds)}%`]
  const said = await ffprobe(deps, [...interval, ...entries, '-of', 'csv=p=0', path], signal)
  return said
    .split('\n')
    .filter((line) => line.includes(',K'))
    .map((line) => Number.parseFloat(line))
    .find((at) => at >= fromSeconds)
}

async function ffprobe(deps: ClipDeps, args: string[], signal: AbortSignal): Promise<string> {
  const path = args.at(-1) ?? ''
  const command = ['-v', 'error', '-protocol_whitelist', 'file', ...args.slice(0, -1)]
  const end = await runTool(deps.tools.ffprobe, [...command, `file:${path}`], patienceMs, signal)
  if (end.code !== 0) throw new Error(`${basename(path)} cannot be read: ${lastLine(end.stderr)}`)
  return end.stdout
}

/** As FFmpeg takes it. */
export function seconds(value: number): string {
  // A keyframe whose time is rounded down is missed.
  return value.toFixed(6)
}
