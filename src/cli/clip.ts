import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { lastLine, runTool, type MediaTools } from '../uploader/run-tool.ts'

/** A file of which a clip takes a part; without bounds all of it. */
export interface ClipPart {
  path: string
  fromSeconds?: number
  untilSeconds?: number
}

export interface ClipWish {
  /** In their order. */
  parts: ClipPart[]
  target: string
  /** Begins with the very moment, not with the keyframe before. */
  exact: boolean
}

interface ClipDeps {
  tools: MediaTools
  /** For temporary files: empty, and removed by whoever made it. */
  folder: string
}

interface Streams {
  video: string
  /** How many units of its time stamps make a second. */
  ticks: string
  /** All that must be the same in files that are joined, in words. */
  text: string
}

const patienceMs = 30 * 60_000
const input = ['-v', 'error', '-nostdin', '-protocol_whitelist', 'file']

/**
 * Joins parts of files into one MP4 file and returns how many seconds too early it begins. Nothing
 * is encoded anew but, if it is to be exact, what lies before the first keyframe (or all of it,
 * where the video is not H.264). Throws an Error of one line for the operator.
 */
export async function makeClip(
  deps: ClipDeps,
  wish: ClipWish,
  signal: AbortSignal,
): Promise<number> {
  const { parts } = wish
  const [first] = parts
  if (!first) throw new Error('there is nothing to join')
  const { video, ticks } = await sameStreams(deps, parts, signal)
  const due = first.fromSeconds ?? 0
  const before = due === 0 ? 0 : await keyframeBefore(deps, first.path, due, signal)
  const isExact = wish.exact && due - before > 0.001
  if (!isExact) {
    await joinParts(deps, { ...wish, parts: beginningAt(parts, before) }, copied(video), signal)
    return due - before
  }
  if (video !== 'h264') {
    const skipped = ['-ss', seconds(due - before), ...encoded, '-c:a', 'copy']
    await joinParts(deps, { ...wish, parts: beginningAt(parts, before) }, skipped, signal)
    return 0
  }
  const head = join(deps.folder, 'head.mp4')
  const after = await keyframeFrom(deps, first, signal)
  const headUntil = after ?? first.untilSeconds
  const length = headUntil === undefined ? [] : ['-t', seconds(headUntil - due)]
  // Sound that is copied would begin at the keyframe, too; and what is joined must count time alike.
  const output = [...length, ...encoded, '-c:a', 'aac', '-video_track_timescale', ticks, head]
  await ffmpeg(deps, [...input, '-ss', seconds(due), '-i', `file:${first.path}`, ...output], signal)
  const rest = after === undefined ? parts.slice(1) : beginningAt(parts, after)
  const joined = { ...wish, parts: [{ path: head }, ...rest] }
  await joinParts(deps, joined, copied(video), signal)
  return 0
}

/** Parameter sets of a number of their own: those of the camera stay valid beside them. */
const encoded = [
  ...['-map', '0:v:0', '-map', '0:a?', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '18'],
  ...['-bf', '0', '-x264-params', 'sps-id=9'],
]

function copied(video: string): string[] {
  const tag = video === 'hevc' ? ['-tag:v', 'hvc1'] : []
  return ['-map', '0:v:0', '-map', '0:a?', '-c', 'copy', ...tag]
}

function beginningAt([first, ...others]: ClipPart[], fromSeconds: number): ClipPart[] {
  return first ? [{ ...first, fromSeconds }, ...others] : []
}

async function joinParts(
  deps: ClipDeps,
  { parts, target }: ClipWish,
  how: string[],
  signal: AbortSignal,
): Promise<void> {
  const list = join(deps.folder, 'parts.ffconcat')
  await writeFile(list, `ffconcat version 1.0\n${parts.map(listed).join('')}`)
  const source = ['-f', 'concat', '-safe', '0', '-i', `file:${list}`]
  await ffmpeg(
    deps,
    [...input, ...source, ...how, '-movflags', '+faststart', '-f', 'mp4', '-y', `file:${target}`],
    signal,
  )
}

function listed({ path, fromSeconds, untilSeconds }: ClipPart): string {
  const lines = [`file '${`file:${path}`.replaceAll("'", String.raw`'\''`)}'`]
  if (fromSeconds !== undefined && fromSeconds > 0) lines.push(`inpoint ${seconds(fromSeconds)}`)
  if (untilSeconds !== undefined) lines.push(`outpoint ${seconds(untilSeconds)}`)
  return `${lines.join('\n')}\n`
}

/** What differs can't be joined without encoding everything anew. */
async function sameStreams(
  deps: ClipDeps,
  parts: ClipPart[],
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
async function keyframeBefore(
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
async function keyframeFrom(
  deps: ClipDeps,
  { path, fromSeconds = 0, untilSeconds = Infinity }: ClipPart,
  signal: AbortSignal,
): Promise<number | undefined> {
  const entries = ['-select_streams', 'v:0', '-show_entries', 'packet=pts_time,flags']
  const interval = ['-read_intervals', `${seconds(fromSeconds)}%`]
  const said = await ffprobe(deps, [...interval, ...entries, '-of', 'csv=p=0', path], signal)
  return said
    .split('\n')
    .filter((line) => line.includes(',K'))
    .map((line) => Number.parseFloat(line))
    .find((at) => at >= fromSeconds && at < untilSeconds)
}

async function ffprobe(deps: ClipDeps, args: string[], signal: AbortSignal): Promise<string> {
  const path = args.at(-1) ?? ''
  const command = ['-v', 'error', '-protocol_whitelist', 'file', ...args.slice(0, -1)]
  const end = await runTool(deps.tools.ffprobe, [...command, `file:${path}`], patienceMs, signal)
  if (end.code !== 0) throw new Error(`${basename(path)} cannot be read: ${lastLine(end.stderr)}`)
  return end.stdout
}

async function ffmpeg(deps: ClipDeps, args: string[], signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runTool(deps.tools.ffmpeg, args, patienceMs, signal)
  if (code !== 0) throw new Error(`FFmpeg could not make the clip: ${lastLine(stderr)}`)
}

function seconds(value: number): string {
  // A keyframe whose time is rounded down is missed.
  return value.toFixed(6)
}
