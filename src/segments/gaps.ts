import { readFile } from 'node:fs/promises'
import { isoLocal, localTime } from '../daemon/local-time.ts'
import { ignoreMissing } from './folders.ts'
import { Journal } from './journal.ts'

/** A time of which a camera's footage is missing. */
export interface Gap {
  camera: string
  fromMs: number
  toMs: number
  /** In a few words that don't vary: `camera silent`, `recorder down`. */
  reason: string
}

/** The reason of a gap for which no FFmpeg ended. */
export const cameraPaused = 'camera paused'
const clockSet = 'clock set ahead'

const shortestPauseSeconds = 1
/** A gap's beginning is known better when it is over. */
const sameMs = 2000
/** Of a camera of a frame every few seconds, one that is late misses nothing. */
const shortestPauseSteps = 4

/** Whether so long a step from one frame to the next is a pause, where another step is usual. */
export function isPause(stepSeconds: number, usualSeconds: number): boolean {
  return stepSeconds >= Math.max(shortestPauseSeconds, shortestPauseSteps * usualSeconds)
}

/** A gap that goes on. */
export type OpenGap = Omit<Gap, 'toMs'>

/**
 * A line of `data/gaps/YYYY-MM-DD.ndjson`; times in ISO 8601 with the local offset. A `gap-open` is
 * over when the camera's footage goes on, of which a line without a kind or of kind `gap` tells. In the
 * time of a `clock-set` nothing is missing: this machine's clock passed over it.
 */
export interface GapLine {
  kind?: 'gap' | 'gap-open' | 'clock-set'
  camera: string
  from: string
  to: string
  seconds: number
  reason: string
}

/** What is missing, and why: both daemons write to `data/gaps/`, by the day when a gap begins. */
export class Gaps {
  readonly #journal: Journal<GapLine>

  constructor(folder: string) {
    this.#journal = new Journal(folder)
  }

  /** All that were ever noted and are over, but for what is cut off or has no times. */
  async all(): Promise<Gap[]> {
    return (await this.#lines()).flatMap((line) => (isGap(line) ? spanOf(line) : []))
  }

  /** The times that the clock passed over when it was set ahead, for each camera that was recorded. */
  async passedOver(): Promise<Gap[]> {
    return (await this.#lines()).flatMap((line) => (line.kind === 'clock-set' ? spanOf(line) : []))
  }

  /** The newest gap of each camera that began and of which no line says that it is over. */
  async stillOpen(): Promise<OpenGap[]> {
    const open = new Map<string, OpenGap>()
    for (const line of await this.#lines()) {
      const { kind, camera, from = '', reason = 'unknown' } = line
      const fromMs = Date.parse(from)
      if (camera === undefined || Number.isNaN(fromMs)) continue
      if (kind === 'gap-open') open.set(camera, { camera, fromMs, reason })
      else if (isGap(line) && fromMs >= (open.get(camera)?.fromMs ?? Infinity) - sameMs)
        open.delete(camera)
    }
    return [...open.values()]
  }

  /** Returns when the gap is on the disk. */
  async append(gap: Gap): Promise<void> {
    await this.#journal.append([lineOf(gap)], localTime(gap.fromMs).date)
  }

  /** Returns when the beginning of a gap is on the disk. */
  async open({ camera, fromMs, reason }: OpenGap): Promise<void> {
    const line = lineOf({ camera, fromMs, toMs: fromMs, reason }, 'gap-open')
    await this.#journal.append([line], localTime(fromMs).date)
  }

  /** Notes that the clock was set ahead, so that a camera's footage goes on at another time. */
  async clockSet(span: Omit<Gap, 'reason'>): Promise<void> {
    const line = lineOf({ ...span, reason: clockSet }, 'clock-set')
    await this.#journal.append([line], localTime(span.fromMs).date)
  }

  /** Notes that a camera's open gap is over, if there is one: as one of no length. */
  async closeOpen(camera: string): Promise<void> {
    const open = (await this.stillOpen()).find((gap) => gap.camera === camera)
    if (open) await this.append({ ...open, toMs: open.fromMs })
  }

  async #lines(): Promise<Partial<GapLine>[]> {
    const days = await this.#journal.days()
    return (await Promise.all(days.map(async (day) => this.#journal.lines(day)))).flat()
  }

  /** The same for several, of which those are passed over that have been noted before. */
  async appendNew(gaps: Gap[]): Promise<void> {
    for (const day of new Set(gaps.map(({ fromMs }) => localTime(fromMs).date))) {
      const text = (await readFile(this.#journal.path(day), 'utf8').catch(ignoreMissing)) ?? ''
      const known = new Set(text.split('\n'))
      const lines = gaps
        .filter(({ fromMs }) => localTime(fromMs).date === day)
        .map((gap) => lineOf(gap))
      const fresh = lines.filter((line) => !known.has(JSON.stringify(line)))
      if (fresh.length > 0) await this.#journal.append(fresh, day)
    }
  }
}

function isGap({ kind = 'gap' }: Partial<GapLine>): boolean {
  return kind === 'gap'
}

/** Nothing of a line that is cut off, or has no times, or no length. */
function spanOf({ camera, from = '', to = '', reason = 'unknown' }: Partial<GapLine>): Gap[] {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)]
  return camera !== undefined && toMs > fromMs ? [{ camera, fromMs, toMs, reason }] : []
}

function lineOf(
  { camera, fromMs, toMs, reason }: Gap,
  kind: GapLine['kind'] & string = 'gap',
): GapLine {
  // A clock that was set back meanwhile makes an end before the beginning.
  const endMs = Math.max(fromMs, toMs)
  const seconds = Math.round((endMs - fromMs) / 100) / 10
  return { kind, camera, from: isoLocal(fromMs), to: isoLocal(endMs), seconds, reason }
}
