import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLine, runTool } from '../uploader/run-tool.ts'
import {
  keyframeBefore,
  keyframeFrom,
  patienceMs,
  sameStreams,
  seconds,
  type ClipDeps,
  type Common,
  type OpenPart,
} from './clip-streams.ts'

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
  const common = await sameStreams(deps, wish.parts, signal)
  const { video, ticks } = common
  const sounding = await withSound(deps, wish.parts, common, signal)
  const parts = await endingInTime(deps, sounding, [...copied(video), ...timeIn(ticks)], signal)
  const [first] = parts
  if (!first) throw new Error('there is nothing to join')
  const { target } = wish
  const due = first.fromSeconds
  const before = due === 0 ? 0 : await keyframeBefore(deps, first.path, due, signal)
  const isExact = wish.exact && due - before > 0.001
  if (!isExact) {
    await joinParts(deps, { target, parts: beginningAt(parts, before) }, copied(video), signal)
    return due - before
  }
  if (video !== 'h264') {
    const skipped = ['-ss', seconds(due - before), ...encoded, '-c:a', 'copy']
    await joinParts(deps, { target, parts: beginningAt(parts, before) }, skipped, signal)
    return 0
  }
  const head = join(deps.folder, 'head.mp4')
  const after = await keyframeFrom(deps, first, signal)
  const length = after === undefined ? [] : ['-t', seconds(after - due)]
  // Sound that is copied would begin at the keyframe, too; and what is joined must count time alike.
  const output = [...length, ...encoded, '-c:a', 'aac', ...timeIn(ticks), head]
  await ffmpeg(deps, [...input, '-ss', seconds(due), '-i', `file:${first.path}`, ...output], signal)
  const rest = after === undefined ? parts.slice(1) : beginningAt(parts, after)
  const joined = { target, parts: [{ path: head, fromSeconds: 0 }, ...rest] }
  await joinParts(deps, joined, copied(video), signal)
  return 0
}

/** Parameter sets of a number of their own: those of the camera stay valid beside them. */
const encoded = [
  ...['-map', '0:v:0', '-map', '0:a?', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '18'],
  ...['-bf', '0', '-x264-params', 'sps-id=9'],
]

function copied(video: string): string[] {
  return ['-map', '0:v:0', '-map', '0:a?', ...codecs(video)]
}

function codecs(video: string): string[] {
  return ['-c', 'copy', ...(video === 'hevc' ? ['-tag:v', 'hvc1'] : [])]
}

function timeIn(ticks: string): string[] {
  return ['-video_track_timescale', ticks]
}

/** The same parts, with silence where only others have sound: a microphone may be off for hours. */
async function withSound(
  deps: ClipDeps,
  parts: ClipPart[],
  { video, ticks, sound, silent }: Common,
  signal: AbortSignal,
): Promise<ClipPart[]> {
  const result: ClipPart[] = []
  for (const [index, part] of parts.entries()) {
    if (!sound || !silent.has(part.path)) {
      result.push(part)
      continue
    }
    const path = join(deps.folder, `silent-${index}.mp4`)
    const silence = `anullsrc=r=${sound.samplesPerSecond}:cl=mono`
    const inputs = ['-i', `file:${part.path}`, '-f', 'lavfi', '-i', silence]
    const output = ['-map', '0:v:0', '-map', '1:a', ...codecs(video), '-c:a', 'aac']
    const args = [
      ...inputs,
      ...output,
      '-ac',
      String(sound.channels),
      '-shortest',
      ...timeIn(ticks),
    ]
    await ffmpeg(deps, [...input, ...args, path], signal)
    result.push({ ...part, path })
  }
  return result
}

/**
 * The same without ends: what has one is cut there. (The concat demuxer would end a file at the
 * first packet beyond it, and picture and sound lie up to a second apart.)
 */
async function endingInTime(
  deps: ClipDeps,
  parts: ClipPart[],
  how: string[],
  signal: AbortSignal,
): Promise<OpenPart[]> {
  const result: OpenPart[] = []
  for (const [index, { path, fromSeconds = 0, untilSeconds }] of parts.entries()) {
    const cut = join(deps.folder, `cut-${index}.mp4`)
    const args = ['-i', `file:${path}`, ...how, '-t', seconds(untilSeconds ?? 0), cut]
    if (untilSeconds !== undefined) await ffmpeg(deps, [...input, ...args], signal)
    result.push({ path: untilSeconds === undefined ? path : cut, fromSeconds })
  }
  return result
}

function beginningAt([first, ...others]: OpenPart[], fromSeconds: number): OpenPart[] {
  return first ? [{ ...first, fromSeconds }, ...others] : []
}

async function joinParts(
  deps: ClipDeps,
  { parts, target }: { parts: OpenPart[]; target: string },
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

function listed({ path, fromSeconds }: OpenPart): string {
  const lines = [`file '${`file:${path}`.replaceAll("'", String.raw`'\''`)}'`]
  if (fromSeconds > 0) lines.push(`inpoint ${seconds(fromSeconds)}`)
  return `${lines.join('\n')}\n`
}

async function ffmpeg(deps: ClipDeps, args: string[], signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runTool(deps.tools.ffmpeg, args, patienceMs, signal)
  if (code !== 0) throw new Error(`FFmpeg could not make the clip: ${lastLine(stderr)}`)
}
