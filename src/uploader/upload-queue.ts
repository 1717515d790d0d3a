import { setMaxListeners } from 'node:events'
import { basename } from 'node:path'
import { isoAt, type Clock } from '../daemon/clock.ts'
import { describeError, type Log } from '../daemon/logger.ts'
import { hasCode } from '../segments/folders.ts'
import { StoreError } from './object-store.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { ToolError } from './run-tool.ts'
import type { ShipEnd } from './ship-segment.ts'
import { backoffMs, SharedBackoff, type Pass } from './store-backoff.ts'
import type { StoreHealth } from './store-health.ts'
import { WakeCall } from './wake-call.ts'

/** A finished file. */
export interface Segment {
  path: string
  bytes: number
  /** Of its footage; decides whose turn it is. */
  startMs: number
}

export interface QueueDeps {
  ship: (path: string, onSent: (bytes: number) => void, signal: AbortSignal) => Promise<ShipEnd>
  /** Told of everything that has left the queue. */
  onEnd: (path: string, end: ShipEnd, seconds: number) => void
  health: StoreHealth
  problems: ProblemLog
  log: Log
  clock: Clock
  concurrency: number
}

/** A file under way. */
export interface InFlight {
  file: string
  bytes: number
  sentBytes: number
  since: string
}

/** A file that is not in S3 yet. */
export interface Unfinished extends Segment {
  /** When it was offered, on the monotonic clock. */
  offeredMs: number
}

interface Waiting extends Unfinished {
  failures: number
  retryAtMs: number
  /** How many files had been shipped when the whole store seemed to fail on this one. */
  blamedStoreAfter?: number
  problem?: string
  /** ISO 8601. */
  nextTryAt?: string
}

/** A file whose upload failed for a reason of its own. */
export interface Failed {
  file: string
  problem: string
  nextTryAt?: string
}

/** Of the 8 s that a daemon has to end, the rest is for aborting what didn't finish. */
const finishMs = 7000
const abortMs = 1000
const fileBackoffCapMs = 60_000
/** What waits for something else is tried again, should nobody wake it. */
const waitAtMostMs = 30 * 60_000
/** A reason that so many files share is said of no more. */
const mostSaid = 10

/**
 * Uploads what it is offered until it succeeds: the oldest first, with one slot that takes the
 * newest, so that a backlog doesn't starve the present.
 */
export class UploadQueue {
  readonly #deps: QueueDeps
  readonly #waiting = new Map<string, Waiting>()
  /** What was to be tried again while it was still being tried. */
  readonly #woken = new Set<string>()
  /** What waited when it was last sorted, oldest first. */
  #order: Waiting[] = []
  #isSorted = true
  readonly #inFlight = new Map<string, { segment: Waiting; progress: InFlight }>()
  #shipped = 0
  /** Programs that are missing, a full disk: what every file would meet. */
  readonly #machine: SharedBackoff<Error>
  readonly #changed: WakeCall

  constructor(deps: QueueDeps) {
    this.#deps = deps
    this.#machine = new SharedBackoff(deps.clock)
    this.#changed = new WakeCall(deps.clock)
  }

  offer(segment: Segment): void {
    if (this.has(segment.path)) return
    const offeredMs = this.#deps.clock.monotonicMs()
    this.#add({ ...segment, offeredMs, failures: 0, retryAtMs: 0 })
    this.#changed.ring()
  }

  has(path: string): boolean {
    return this.#waiting.has(path) || this.#inFlight.has(path)
  }

  /** Forgets a file unless it is in flight; answers whether nobody will upload it now. */
  withdraw(path: string): boolean {
    return this.#waiting.delete(path)
  }

  /** Tries a file at once that waited for something else. */
  retry(path: string): void {
    const segment = this.#waiting.get(path)
    if (segment) segment.retryAtMs = 0
    else this.#woken.add(path)
    this.#changed.ring()
  }

  /** Forgets what waits and isn't there any more. */
  retain(isThere: (path: string) => boolean): void {
    for (const path of this.#waiting.keys()) if (!isThere(path)) this.#waiting.delete(path)
  }

  get waiting(): Segment[] {
    return [...this.#waiting.values()]
  }

  /** What waits, and what is on its way. */
  get unfinished(): Unfinished[] {
    const taken = [...this.#inFlight.values()].map(({ segment }) => segment)
    return [...taken, ...this.#waiting.values()]
  }

  get inFlight(): InFlight[] {
    return [...this.#inFlight.values()].map(({ progress }) => progress)
  }

  get failed(): Failed[] {
    return [...this.#waiting.values()].flatMap(({ path, problem, nextTryAt }) =>
      problem === undefined
        ? []
        : [{ file: basename(path), problem, ...(nextTryAt ? { nextTryAt } : {}) }],
    )
  }

  /** Runs until the signal aborts, and ends within 8 s of it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, concurrency } = this.#deps
    const hard = new AbortController()
    // Node warns of more than ten; here each upload listens.
    setMaxListeners(0, signal, hard.signal)
    const ended = new AbortController()
    const slots = Array.from({ length: concurrency }, async (_, index) =>
      this.#slot(index, signal, hard.signal),
    )
    const all = Promise.all(slots).finally(() => ended.abort())
    await Promise.race([all, new Promise((resolve) => signal.addEventListener('abort', resolve))])
    await clock.sleep(finishMs, ended.signal)
    hard.abort(new Error('the uploader stops'))
    await Promise.race([all, clock.sleep(abortMs, ended.signal)])
  }

  async #slot(index: number, signal: AbortSignal, hard: AbortSignal): Promise<void> {
    const { health, concurrency } = this.#deps
    for (let turn = 0; ; turn += 1) {
      await this.#untilDue(signal)
      const store = await health.enter(signal)
      if (!store) return
      const machine = await this.#machine.enter(signal)
      try {
        if (!machine) return
        const newest = concurrency === 1 ? turn % 2 === 1 : index === 0
        const next = this.#take(newest, store.trial)
        if (next) await this.#attempt(next, { store, machine }, hard)
      } finally {
        if (machine) this.#machine.leave(machine)
        health.leave(store)
      }
    }
  }

  async #attempt(
    segment: Waiting,
    passes: { store: Pass; machine: Pass },
    signal: AbortSignal,
  ): Promise<void> {
    const { path, bytes } = segment
    const { ship, onEnd, health, clock, problems } = this.#deps
    const since = new Date(clock.now()).toISOString()
    const startedMs = clock.monotonicMs()
    const progress: InFlight = { file: basename(path), bytes, sentBytes: 0, since }
    this.#waiting.delete(path)
    this.#inFlight.set(path, { segment, progress })
    try {
      const end = await ship(path, (sent) => (progress.sentBytes = sent), signal)
      this.#inFlight.delete(path)
      if (end.why === 'waiting')
        return this.#add({
          ...segment,
          retryAtMs: this.#woken.delete(segment.path) ? 0 : clock.monotonicMs() + waitAtMostMs,
        })
      problems.over(path)
      if (this.#machine.succeeded()) problems.over('machine')
      // What was found in the store, after an answer was lost, was written as well.
      if (end.why === 'shipped') {
        this.#shipped += 1
        health.succeeded('write')
      }
      onEnd(path, end, (clock.monotonicMs() - startedMs) / 1000)
    } catch (error) {
      this.#inFlight.delete(path)
      if (signal.aborted) return
      this.#add(segment)
      this.#failed(segment, error, passes)
    }
  }

  #failed(segment: Waiting, error: unknown, passes: { store: Pass; machine: Pass }): void {
    const { health, problems } = this.#deps
    if (error instanceof StoreError && error.storeWide && !this.#isItsOwn(segment)) {
      segment.failures += 1
      segment.blamedStoreAfter = this.#shipped
      return health.failed(error, passes.store)
    }
    const text = error instanceof StoreError ? error.message : describeError(error)
    const reason = text.replaceAll(segment.path, 'the file')
    segment.problem = reason
    if (isMachineWide(error)) {
      this.#machine.failed(error as Error, passes.machine)
      return problems.report('machine', reason, { problem: reason }, 'uploads wait')
    }
    segment.failures += 1
    const { clock } = this.#deps
    segment.retryAtMs = clock.monotonicMs() + backoffMs(segment.failures, fileBackoffCapMs)
    segment.nextTryAt = isoAt(clock, segment.retryAtMs)
    const file = basename(segment.path)
    const hint = error instanceof StoreError ? { hint: error.hint } : {}
    const sharing = this.failed.filter(({ problem }) => problem === reason).length
    if (sharing > mostSaid) this.#deps.log.debug({ file, reason }, 'upload failed; trying again')
    else
      problems.report(
        segment.path,
        reason,
        { file, reason, ...hint },
        'upload failed; trying again',
      )
  }

  /** A file on which the store fails although it has taken others since is at fault itself. */
  #isItsOwn({ blamedStoreAfter }: Waiting): boolean {
    return blamedStoreAfter !== undefined && this.#shipped > blamedStoreAfter
  }

  #add(segment: Waiting): void {
    this.#waiting.set(segment.path, segment)
    this.#isSorted = false
  }

  /** In a trial, a file that has failed less often goes first: it may not be the store's fault. */
  #take(newest: boolean, trial: boolean): Waiting | undefined {
    this.#sort()
    const nowMs = this.#deps.clock.monotonicMs()
    const isDue = (segment: Waiting): boolean =>
      segment.retryAtMs <= nowMs && this.#waiting.get(segment.path) === segment
    const fewest = trial ? fewestFailures(this.#order.filter(isDue)) : Infinity
    const isWanted = (segment: Waiting): boolean => segment.failures <= fewest && isDue(segment)
    const index = newest ? this.#order.findLastIndex(isWanted) : this.#order.findIndex(isWanted)
    return index < 0 ? undefined : this.#order.splice(index, 1)[0]
  }

  #sort(): void {
    if (this.#isSorted) return
    this.#order = [...this.#waiting.values()].sort((a, b) => (isBefore(a, b) ? -1 : 1))
    this.#isSorted = true
  }

  /** Resolves when a file may be tried, or the signal aborts. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!signal.aborted) {
      const nowMs = clock.monotonicMs()
      let nextMs = nowMs + 60_000
      for (const { retryAtMs } of this.#waiting.values()) {
        if (retryAtMs <= nowMs) return
        nextMs = Math.min(nextMs, retryAtMs)
      }
      await this.#changed.sleep(nextMs - nowMs, signal)
    }
  }
}

function fewestFailures(segments: Waiting[]): number {
  return segments.reduce((fewest, { failures }) => Math.min(fewest, failures), Infinity)
}

function isBefore(a: Segment, b: Segment): boolean {
  return a.startMs === b.startMs ? a.path < b.path : a.startMs < b.startMs
}

function isMachineWide(error: unknown): boolean {
  if (error instanceof ToolError) return error.machineWide
  return hasCode(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN')
}
