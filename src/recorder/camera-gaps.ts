import { ClockSteps, type Clock } from '../daemon/clock.ts'
import { describeError } from '../daemon/logger.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import type { FootageSpan } from '../segments/closed-segments.ts'
import { cameraPaused, isPause, type Gap, type Gaps, type OpenGap } from '../segments/gaps.ts'
import { leastGapMs, type PastFootage } from './past-footage.ts'
import { recorderDown } from './run-end.ts'

/** How far a camera's footage has come, for the status file and for the recorder after this one. */
export interface Footage {
  /** When it was last written, ISO 8601; absent before the first. */
  footageUntil?: string | undefined
  /** Why there has been none since then; absent while there is. */
  gap?: string | undefined
}

const retryMs = 10_000
/** A full disk must not keep the recorder from stopping; what is not noted is found by the next one. */
const notedAtMostMs = 1000

/**
 * Where the footage of one camera stops and goes on; each gap becomes a line in `data/gaps/` when it
 * begins, and another one when it is over: when the first segment behind it is closed.
 */
export class CameraGaps {
  readonly #camera: string
  readonly #gaps: Gaps
  readonly #clock: Clock
  readonly #problems: ProblemLog
  /** Where the footage ends that was closed last; in epoch ms. */
  #closedUntilMs: number | undefined
  /** Since then; undefined where an earlier recorder has recorded it. */
  #clockSteps: ClockSteps | undefined
  /** Where the present gap begins by its line, if it has one. */
  #openedMs: number | undefined
  /** A gap that ends before it begins: the clock stood back when this recorder began. */
  #backward: Gap | undefined
  /** When a frame last came, on the monotonic clock; undefined before the first of this recorder. */
  #aliveMs: number | undefined
  /** How long the present gap has had which reason. */
  readonly #reasons = new Map<string, number>()
  #reason: { text: string; sinceMs: number } | undefined
  /** Lines are written one after the other. */
  #writing: Promise<void> = Promise.resolve()

  constructor(
    camera: string,
    before: PastFootage | undefined,
    deps: { gaps: Gaps; clock: Clock; problems: ProblemLog },
  ) {
    this.#camera = camera
    this.#gaps = deps.gaps
    this.#clock = deps.clock
    this.#problems = deps.problems
    if (!before) return
    this.#closedUntilMs = before.untilMs
    this.#openedMs = before.untilMs
    if (before.gap) this.#reasons.set(before.gap, before.downSinceMs - before.untilMs)
    this.#wasDown(before.downSinceMs)
  }

  #wasDown(sinceMs: number): void {
    this.#reasons.set(recorderDown, Math.max(0, this.#clock.now() - sinceMs))
    this.#reason = { text: recorderDown, sinceMs: this.#clock.monotonicMs() }
  }

  get status(): Footage {
    const untilMs =
      this.#aliveMs === undefined
        ? this.#closedUntilMs
        : this.#clock.now() - (this.#clock.monotonicMs() - this.#aliveMs)
    const footageUntil = untilMs === undefined ? undefined : new Date(untilMs).toISOString()
    return { footageUntil, gap: this.#reason && this.#mainReason() }
  }

  /** A frame has come. */
  alive(): void {
    this.#aliveMs = this.#clock.monotonicMs()
    this.#count(this.#aliveMs)
    this.#reason = undefined
  }

  /** A segment is closed; called in their order. */
  recorded({ fromMs, toMs, stepMs }: FootageSpan): void {
    this.#followClock()
    const isFirst = this.#clockSteps === undefined
    this.#clockSteps ??= new ClockSteps(this.#clock, 'bootMs')
    const untilMs = this.#closedUntilMs
    this.#closedUntilMs = toMs
    const reason = this.#mainReason()
    if (isFirst && untilMs !== undefined && untilMs > fromMs)
      this.#backward = {
        ...{ camera: this.#camera, fromMs: untilMs, toMs: fromMs },
        reason: reason ?? recorderDown,
      }
    const missingMs = untilMs === undefined ? 0 : fromMs - untilMs
    const isGap =
      reason === undefined
        ? isPause(missingMs / 1000, stepMs / 1000)
        : missingMs >= Math.max(leastGapMs, 2 * stepMs)
    if (untilMs !== undefined && isGap) {
      const gap = { camera: this.#camera, fromMs: untilMs, toMs: fromMs }
      this.#write(async () => this.#gaps.append({ ...gap, reason: reason ?? cameraPaused }))
    }
    // What was opened is over, even if nothing is missing, or only before it by a clock that was set back.
    const isOver = isGap && (untilMs ?? 0) >= (this.#openedMs ?? 0)
    if (reason !== undefined && !isOver) this.#write(async () => this.#gaps.closeOpen(this.#camera))
    this.#openedMs = undefined
    this.#reasons.clear()
  }

  /** The same for a segment that an earlier recorder has left behind, which wasn't down before it. */
  adopted(span: FootageSpan): void {
    this.#reason = undefined
    this.#reasons.delete(recorderDown)
    this.recorded(span)
    this.#clockSteps = undefined
    this.#backward = undefined
    this.#wasDown(span.toMs)
  }

  /** Returns when everything is noted, or cannot be for now. */
  async noted(): Promise<void> {
    await Promise.race([this.#writing, this.#clock.sleep(notedAtMostMs)])
  }

  /** There is none, from now on for this reason. */
  failed(reason: string): void {
    const sinceMs = this.#clock.monotonicMs()
    this.#count(sinceMs)
    const isNew = this.#reasons.size === 0 && this.#reason === undefined
    this.#reason = { text: reason, sinceMs }
    this.#followClock()
    const fromMs = this.#closedUntilMs
    if (!isNew || fromMs === undefined) return
    this.#openedMs = fromMs
    const open: OpenGap = { camera: this.#camera, fromMs, reason }
    this.#write(async () => this.#gaps.open(open))
  }

  /** What was closed before the clock was set ended at another time by the new one. */
  #followClock(): void {
    const fromMs = this.#closedUntilMs
    if (!this.#clockSteps || fromMs === undefined) return
    const setByMs = this.#clockSteps.sinceLast()
    const toMs = fromMs + setByMs
    this.#closedUntilMs = toMs
    if (setByMs < leastGapMs) return
    const camera = this.#camera
    const gap = this.#backward && { ...this.#backward, toMs: this.#backward.toMs + setByMs }
    if (gap && gap.toMs > gap.fromMs) {
      this.#backward = undefined
      this.#write(async () => this.#gaps.append(gap))
      this.#write(async () => this.#gaps.clockSet({ camera, fromMs: gap.toMs, toMs }))
    } else this.#write(async () => this.#gaps.clockSet({ camera, fromMs, toMs }))
  }

  #count(nowMs: number): void {
    if (!this.#reason) return
    const { text, sinceMs } = this.#reason
    this.#reasons.set(text, (this.#reasons.get(text) ?? 0) + nowMs - sinceMs)
    this.#reason.sinceMs = nowMs
  }

  /** The reason that has held for most of the gap; undefined where there is none. */
  #mainReason(): string | undefined {
    this.#count(this.#clock.monotonicMs())
    const [most] = [...this.#reasons].sort(([, a], [, b]) => b - a)
    return most?.[0]
  }

  /** Again and again, for a disk may be full. */
  #write(line: () => Promise<void>): void {
    const subject = `gaps of ${this.#camera}`
    const write = async (): Promise<void> => {
      for (;;) {
        try {
          await line()
          this.#problems.over(subject)
          return
        } catch (error) {
          const reason = describeError(error)
          const fields = { camera: this.#camera, reason }
          this.#problems.report(subject, reason, fields, 'a gap cannot be noted')
          await this.#clock.sleep(retryMs)
        }
      }
    }
    this.#writing = this.#writing.then(write)
  }
}
