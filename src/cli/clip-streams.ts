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

/** The sound of a file. */
export interface Sound {
  samplesPerSecond: number
  channels: number
}

interface Streams {
  video: string
  /** How many units of its time stamps make a second. */
  ticks: string
  /** Undefined where there is none. */
  sound: Sound | undefined
  /** All that must be the same in files that are joined, in words. */
  text: { video: string; sound: string | undefined }
}

export const patienceMs = 30 * 60_000

/** Streams that the files of a clip have in common; `silent` lists the files without the sound that others have. */
export interface Common extends Pick<Streams, 'video' | 'ticks' | 'sound'> {
  silent: Set<string>
}

/** What differs can't be joined without encoding everything anew. */
export async function sameStreams(
  deps: ClipDeps,
  parts: { path: string }[],
  signal: AbortSignal,
): Promise<Common> {
  const all: { path: string; streams: Streams }[] = []
  for (const { path } of parts) all.push({ path, streams: await streamsOf(deps, path, signal) })
  const [first] = all
  const heard = all.find(({ streams }) => streams.sound)
  for (const { path, streams } of all) {
    requireSame(first, { path, streams }, 'video')
    if (streams.sound) requireSame(heard, { path, streams }, 'sound')
  }
  const silent = all.filter(({ streams }) => heard && !streams.sound).map(({ path }) => path)
  const { video = 'none', ticks = '1000' } = first?.streams ?? {}
  return { video, ticks, sound: heard?.streams.sound, silent: new Set(silent) }
}

function requireSame(
  first: { path: string; streams: Streams } | undefined,
  { path, streams }: { path: string; streams: Streams },
  what: 'video' | 'sound',
): void {
  if (!first || first.streams.text[what] === streams.text[what]) return
  const [a, b] = [first, { path, streams }].map(
    ({ path: name, streams: { text } }) =>
      `${basename(name)} (${[text.video, text.sound].filter(Boolean).join('; ')})`,
  )
  throw new Error(`${a} and ${b} cannot be joined: make a clip of each`)
}

async function streamsOf(deps: ClipDeps, path: string, signal: AbortSignal): Promise<Streams> {
  const entries = 'stream=codec_type,codec_name,width,height,sample_rate,channels,time_base'
  const said = await ffprobe(deps, ['-show_entries', entries, '-of', 'json', path], signal)
  const { streams = [] } = JSON.parse(said) as { streams?: Record<string, string | number>[] }
  const video = streams.find(({ codec_type: type }) => type === 'video')
  const audio = streams.find(({ codec_type: type }) => type === 'audio')
  const samplesPerSecond = Number(audio?.sample_rate)
  const channels = Number(audio?.channels)
  return {
    video: String(video?.codec_name ?? 'none'),
    ticks: String(video?.time_base ?? '').replace('1/', ''),
    sound: audio && { samplesPerSecond, channels },
    text: {
      video: `${video?.codec_name} ${video?.width}x${video?.height}, time in ${video?.time_base} s`,
      sound: audio && `${audio.codec_name} ${samplesPerSecond} Hz, ${channels} ch`,
    },
  }
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
