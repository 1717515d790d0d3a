import type { Stats } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { hasCode, ignoreMissing, type Folders } from '../segments/folders.ts'
import { ClosedSegments, spanOf, type ClosedSegment } from '../segments/closed-segments.ts'
import { segmentDay } from '../uploader/ledger.ts'
import { finalizeCopy, knownOfOpen } from './finalized-copy.ts'
import { localTime } from '../daemon/local-time.ts'
import { makeClip, type ClipPart } from './clip.ts'
import { holesIn, type Found } from './find-footage.ts'
import type { Stretch } from './stretches.ts'
import type { Span } from './spans.ts'
import type { StoredFootage } from './stored-footage.ts'
import { count, durationText } from '../daemon/units.ts'

const tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
/** The last moment of a file may be no picture, but sound. */
const leastSeconds = 0.25

interface Fetching {
  folders: Folders
  /** Undefined where S3 can't be asked. */
  stored: StoredFootage | undefined
  /** Tells the operator how it goes. */
  say: (text: string) => void
}

/**
 * Puts the files into a folder, from this machine or S3, and returns how many it could not for
 * something else of that name is there; what is there with that size is left alone.
 */
export async function download(
  found: Found[],
  { folder, ...fetching }: Fetching & { folder: string },
  signal: AbortSignal,
): Promise<number> {
  let inTheWay = 0
  await mkdir(folder, { recursive: true })
  for (const { stretch } of found) {
    // By its key, for files that were moved may share a name.
    const target = resolve(folder, basename(stretch.stored?.key ?? stretch.file))
    const there = await stat(target).catch(ignoreMissing)
    if (there && there.size === (await bytesOf(stretch))) {
      fetching.say(`${target} is there already`)
      continue
    }
    if (there) {
      inTheWay += 1
      // An upload makes a file that was copied before it a little smaller or larger.
      fetching.say(`! ${target} is something else, or that file before its upload: move it away`)
      continue
    }
    await fetchInto(stretch, target, fetching, signal)
    fetching.say(`saved ${target}`)
  }
  return inTheWay
}

export interface ClipOptions extends Fetching {
  asked: Span
  target: string
  exact: boolean
}

/** Joins what was found of one camera into a new file; says what of the time is missing in it. */
export async function saveClip(
  found: Found[],
  { asked, target, exact, ...fetching }: ClipOptions,
  signal: AbortSignal,
): Promise<void> {
  const { say } = fetching
  const cameras = [...new Set(found.map(({ stretch }) => stretch.camera))]
  if (cameras.length > 1)
    throw new Error(`a clip is of one camera: give one of ${cameras.join(', ')} as --camera`)
  const path = resolve(target)
  if (await stat(path).catch(ignoreMissing)) throw new Error(`${path} exists already`)
  const parent = await stat(dirname(path)).catch(ignoreMissing)
  if (!parent?.isDirectory()) throw new Error(`there is no folder ${dirname(path)} for the clip`)
  const folder = await mkdtemp(join(dirname(path), '.clip-'))
  try {
    // What is only here may move meanwhile: it comes first.
    const worthwhile = found.filter((it) => it.untilSeconds - it.offsetSeconds >= leastSeconds)
    const sources = new Map(worthwhile.map((it, index) => [it, join(folder, `${index}.mp4`)]))
    const order = [...sources].sort(([a], [b]) => Number(isStored(a)) - Number(isStored(b)))
    const knownOf = new Map<string, ClosedSegment | undefined>()
    for (const [{ stretch }, source] of order) {
      const original = await fetchInto(stretch, source, fetching, signal)
      knownOf.set(source, original && (await known(stretch, original, fetching.folders, source)))
    }
    const parts: ClipPart[] = []
    for (const [it, source] of sources) {
      const copy = { path: source, known: knownOf.get(source) }
      if (!(await finalizeCopy({ tools, folder }, copy, signal))) continue
      parts.push({ path: source, ...cutsOf(it, copy.known) })
    }
    const result = join(folder, 'clip.mp4')
    const early = await makeClip({ tools, folder }, { parts, target: result, exact }, signal)
    await rename(result, path)
    const begins = early >= 0.05 ? `, begins ${early.toFixed(1)} s early, with a keyframe` : ''
    say(`saved ${path}: ${count(parts.length, 'file')}${begins}`)
    for (const hole of holesIn(found, asked)) say(`! ${holeText(hole)}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Beginning and end of a part, unless they are those of its file. */
function cutsOf(
  { stretch, offsetSeconds, untilSeconds }: Found,
  exact: ClosedSegment | undefined,
): Omit<ClipPart, 'path'> {
  const { fromMs, toMs } = exact ? spanOf(exact) : stretch
  const lateSeconds = (fromMs - stretch.fromMs) / 1000
  const [from, until] = [offsetSeconds - lateSeconds, untilSeconds - lateSeconds]
  return {
    ...(offsetSeconds > 0 && from > 0 ? { fromSeconds: from } : {}),
    ...(until < (toMs - fromMs) / 1000 ? { untilSeconds: until } : {}),
  }
}

function isStored({ stretch }: Found): boolean {
  return stretch.stored !== undefined
}

function holeText({ fromMs, toMs }: Span): string {
  const [from, to] = [localTime(fromMs).time, localTime(toMs).time]
  return `${durationText(toMs - fromMs)} are missing in it, from ${from} to ${to}`
}

/** A file on this machine of which a copy was made. */
interface Original {
  path: string
  info: Stats
}

/** The recorder's line on a file; for one that is still open, what its copy tells. */
async function known(
  stretch: Stretch,
  { path, info }: Original,
  folders: Folders,
  copy: string,
): Promise<ClosedSegment | undefined> {
  const day = segmentDay(basename(path), info.mtimeMs)
  const closed = await new ClosedSegments(folders.closed).find(info, day)
  const isOpen = dirname(path) === folders.open
  return closed ?? (isOpen ? knownOfOpen(copy, stretch, info) : undefined)
}

/** Brings a file to `target`: from this machine if it is there, else from S3. Answers which it was here. */
async function fetchInto(
  { file, path, stored: line }: Stretch,
  target: string,
  { stored, folders }: Fetching,
  signal: AbortSignal,
): Promise<Original | undefined> {
  // It may have been moved on since, or deleted.
  const later = [folders.recordings, folders.uploaded].map((folder) => join(folder, file))
  const places = path === undefined ? [] : line ? [path] : [path, ...later]
  for (const place of places) {
    const info = await copied(place, target)
    if (info) return { path: place, info }
  }
  if (!line) throw new Error(`${file} is not there any more`)
  if (!stored) throw new Error(`${file} is only in S3, which cannot be asked`)
  await stored.save(line, target, signal)
  return undefined
}

/** Undefined if there is nothing to copy. */
async function copied(path: string, target: string): Promise<Stats | undefined> {
  const part = `${target}.part`
  try {
    const info = await stat(path)
    await copyFile(path, part)
    await rename(part, target)
    return info
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  } finally {
    await rm(part, { force: true })
  }
}

async function bytesOf({ path, stored }: Stretch): Promise<number | undefined> {
  if (stored || path === undefined) return stored?.bytes
  return (await stat(path).catch(ignoreMissing))?.size
}
