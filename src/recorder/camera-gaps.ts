import type { Clock } from '../daemon/clock.ts'
import { describeError } from '../daemon/logger.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { cameraPaused, type Gap, type Gaps } from '../segments/gaps.ts'
import type { Diagnosis } from './ffmpeg-diagnosis.ts'
import type { RunEnd } from './ffmpeg-run.ts'
import type { PastFootage } from './past-footage.ts'

/** How far a camera's footage has come, for the status file and for the recorder after this one. */
export interface Footage {
  /** When it was last written, ISO 8601; absent before the first. */
  footageUntil?: string | undefined
  /** Why there has been none since then; absent while there is. */
  gap?: string | undefined
}

const recorderDown = 'recorder down'
const retryMs = 10_000
/** A camera's time stamps may cover so much less than the time that went by, at night for example. */
const lateMs = 1500

/** Where the footage of one camera stops and goes on; each gap becomes a line in `data/gaps/`. */
export class CameraGaps {
  readonly #camera: string
  readonly #gaps: Gaps
  readonly #clock: Clock
  readonly #problems: ProblemLog
  /** Of footage of this recorder by the monotonic clock, of an earlier one's by the wall clock. */
  #until: { monotonicMs: number } | { wallMs: number } | undefined
  #totalMs = 0
  /** How long the present gap has had which reason. */
  readonly #reasons = new Map<string, number>()
  #reason: { text: string; sinceMs: number } | undefined

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
    this.#until = { wallMs: before.untilMs }
    if (before.gap) this.#reasons.set(before.gap, before.downSinceMs - before.untilMs)
    this.#reasons.set(recorderDown, Math.max(0, this.#clock.now() - before.downSinceMs))
    this.failed(recorderDown)
  }

  get status(): Footage {
    const untilMs = this.#untilMs()
    const footageUntil = untilMs === undefined ? undefined : new Date(untilMs).toISOString()
    return { footageUntil, gap: this.#mainReason() }
  }

  /** Footage has been written just now: so much since it goes on. */
  footage(totalMs: number): void {
    const fromMs = this.#untilMs()
    const reason = this.#mainReason()
    this.#until = { monotonicMs: this.#writtenUntil(totalMs, reason === undefined) }
    if (reason === undefined) return
    this.#reason = undefined
    this.#reasons.clear()
    if (fromMs === undefined) return
    void this.#write({ camera: this.#camera, fromMs, toMs: this.#clock.now() - totalMs, reason })
  }

  /** Some is missing that was no reason to begin anew; in epoch ms. */
  paused(fromMs: number, toMs: number): void {
    void this.#write({ camera: this.#camera, fromMs, toMs, reason: cameraPaused })
  }

  /** There is none, from now on for this reason. */
  failed(reason: string): void {
    const sinceMs = this.#clock.monotonicMs()
    this.#count(sinceMs)
    this.#reason = { text: reason, sinceMs }
  }

  /**
   * Until now, unless it is much less than the time that went by: what FFmpeg still had, or the
   * network, when a camera had long fallen silent, is of then.
   */
  #writtenUntil(totalMs: number, goesOn: boolean): number {
    const nowMs = this.#clock.monotonicMs()
    const advancedMs = totalMs >= this.#totalMs ? totalMs - this.#totalMs : totalMs
    this.#totalMs = totalMs
    if (!goesOn || !this.#until || 'wallMs' in this.#until) return nowMs
    const { monotonicMs: untilMs } = this.#until
    return nowMs - untilMs - advancedMs > lateMs ? untilMs + advancedMs : nowMs
  }

  /** As the wall clock of now has it: one that was set in a gap makes the gap no longer. */
  #untilMs(): number | undefined {
    if (!this.#until) return undefined
    if ('wallMs' in this.#until) return this.#until.wallMs
    return this.#clock.now() - (this.#clock.monotonicMs() - this.#until.monotonicMs)
  }

  #count(nowMs: number): void {
    if (!this.#reason) return
    const { text, sinceMs } = this.#reason
    this.#reasons.set(text, (this.#reasons.get(text) ?? 0) + nowMs - sinceMs)
    this.#reason.sinceMs = nowMs
  }

  /** The reason that has held for most of the gap. */
  #mainReason(): string | undefined {
    if (!this.#reason) return undefined
    this.#count(this.#clock.monotonicMs())
    const [most] = [...this.#reasons].sort(([, a], [, b]) => b - a)
    return most?.[0]
  }

  /** Again and again, for a disk may be full. */
  async #write(gap: Gap): Promise<void> {
    const subject = `gaps of ${gap.camera}`
    for (;;) {
      try {
        await this.#gaps.append(gap)
        this.#problems.over(subject)
        return
      } catch (error) {
        const reason = describeError(error)
        this.#problems.report(subject, reason, { ...gap, reason }, 'a gap cannot be noted')
        await this.#clock.sleep(retryMs)
      }
    }
  }
}

const byDiagnosis: Record<Diagnosis['kind'], string> = {
  rejected: 'password rejected',
  'not found': 'stream not found',
  refused: 'camera refused',
  'no answer': 'camera silent',
  'unknown host': 'unknown host',
  silent: 'camera silent',
  'no video': 'no video',
  'disk full': 'disk full',
  folder: 'folder not writable',
  'program missing': 'FFmpeg missing',
  closed: 'camera disconnected',
  killed: 'FFmpeg died',
  other: 'FFmpeg died',
}

/** The reason for a gap that begins, or goes on, with this end of an attempt. */
export function gapReason(end: RunEnd): string {
  switch (end.why) {
    case 'stopped':
      return recorderDown
    case 'stalled':
      if (end.stall === 'process gone') return 'FFmpeg died'
      if (/^no (new )?video/.test(end.stall)) return 'camera silent'
      if (end.stall === 'no video since the start') return 'no video'
      return end.stall
    case 'stream changed':
      return 'stream changed'
    case 'locked':
      return 'an earlier FFmpeg still recorded'
    case 'ended':
      return byDiagnosis[end.diagnosis.kind]
  }
}
