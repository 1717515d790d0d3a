import { rm } from 'node:fs/promises'
import { Journal, JournalReader } from './journal.ts'

/** Pairs of a time stamp in the file (or the number of a frame in it), and seconds since `start`. */
export type TimeTable = [number, number][]

/** When the frames of a segment were taken; between two pairs in proportion. */
export interface FrameTimes {
  by: 'stamp' | 'number'
  picture: TimeTable
  /** Of the sound, where it isn't that of the picture. */
  sound?: TimeTable
  /** When what comes behind the last frame was taken, in seconds since `start`. */
  end: number
}

/** A line of `data/closed/YYYY-MM-DD.ndjson`: a segment that the recorder has closed. */
export interface ClosedSegment {
  camera: string
  /** Its name, unless that was taken. */
  file: string
  device: number
  inode: number
  bytes: number
  /** When its first frame was taken, ISO 8601 in milliseconds with the local offset. */
  start: string
  durationSeconds: number
  frames: number
  /** Samples of sound. */
  sounds: number
  /** Absent where nobody saw them come: then the file's own times count. */
  times?: FrameTimes
  /** Of a file that the uploader has written in its place, whose own times are right. */
  isFinal?: boolean
}

/** Where the footage of a segment begins and ends, in epoch ms. */
export interface FootageSpan {
  fromMs: number
  toMs: number
  /** How long a frame of it lasts. */
  stepMs: number
}

/** Days of lines that are kept in memory: those in which one file is looked for. */
const daysRead = 4

/** What the recorder knows of the segments that it has closed: one line each, by the day of its name. */
export class ClosedSegments {
  readonly #journal: Journal<ClosedSegment>
  readonly #reader: JournalReader<ClosedSegment, ClosedSegment>

  constructor(folder: string) {
    this.#journal = new Journal(folder)
    this.#reader = new JournalReader(this.#journal, daysRead, (line, lines) => {
      if (isWhole(line)) lines.set(keyOf(line.device, line.inode), withGoodTimes(line))
    })
  }

  /** Returns when the line is on the disk; before the segment gets its name in `recordings/`. */
  async append(segment: ClosedSegment, day: string): Promise<void> {
    await this.#journal.append([segment], day)
  }

  /** The footage of each camera that was closed last, oldest first. */
  async lastSpans(count: number): Promise<Map<string, FootageSpan[]>> {
    const spans = new Map<string, FootageSpan[]>()
    const days = await this.#journal.days()
    for (const day of days.slice(-daysRead))
      for (const line of (await this.#linesOf(day)).values()) {
        if (line.isFinal) continue
        const before = spans.get(line.camera) ?? []
        spans.set(line.camera, [...before.slice(1 - count), spanOf(line)])
      }
    return spans
  }

  /**
   * What is known of a file that began on a day, by its device and inode, which it keeps whatever its
   * name; its size must agree.
   */
  async find(
    file: { dev: number; ino: number; size: number },
    day: string,
  ): Promise<ClosedSegment | undefined> {
    const days = await this.#journal.days()
    // Its name may have been changed, or be of a clock that was set.
    for (const one of new Set([
      day,
      ...days.filter((later) => later > day).slice(0, 1),
      ...days.slice(-2),
    ])) {
      const line = (await this.#linesOf(one)).get(keyOf(file.dev, file.ino))
      if (line?.bytes === file.size) return line
    }
    return undefined
  }

  /** Deletes the days before one, but never the newest, from which the next recorder goes on. */
  async dropBefore(day: string): Promise<void> {
    const days = (await this.#journal.days()).slice(0, -daysRead)
    for (const one of days.filter((old) => old < day))
      await rm(this.#journal.path(one), { force: true })
  }

  /** What can be read of a day; what can't, a disk has lost. */
  async #linesOf(day: string): Promise<ReadonlyMap<string, ClosedSegment>> {
    return this.#reader.of(day, { orPart: true })
  }
}

/** The footage of a segment. */
export function spanOf({
  start,
  durationSeconds,
  frames,
}: Pick<ClosedSegment, 'start' | 'durationSeconds' | 'frames'>): FootageSpan {
  const fromMs = Date.parse(start)
  const lengthMs = durationSeconds * 1000
  return { fromMs, toMs: fromMs + lengthMs, stepMs: lengthMs / Math.max(1, frames) }
}

function keyOf(device: number, inode: number): string {
  return `${device}:${inode}`
}

function isWhole(line: Partial<ClosedSegment>): line is ClosedSegment {
  return (
    [line.device, line.inode, line.bytes, line.durationSeconds, line.frames].every(
      (number) => typeof number === 'number',
    ) &&
    typeof line.camera === 'string' &&
    !Number.isNaN(Date.parse(line.start ?? ''))
  )
}

/** Without times where a disk has spoilt them. */
function withGoodTimes({ times, ...line }: ClosedSegment): ClosedSegment {
  const tables = [times?.picture, ...(times?.sound === undefined ? [] : [times.sound])]
  const isGood =
    Number.isFinite(times?.end) &&
    tables.every((table) => Array.isArray(table) && table.length > 0 && table.every(isPair))
  return isGood && times ? { ...line, times } : line
}

function isPair(pair: unknown): boolean {
  return Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite)
}
