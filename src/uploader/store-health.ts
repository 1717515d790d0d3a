import { isoAt, type Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import { isMultipart, StoreError, type ObjectStore, type StoreOperation } from './object-store.ts'
import { ProblemLog } from '../daemon/problem-log.ts'
import { SharedBackoff, type Pass } from './store-backoff.ts'

/** The store, as the status shows it. */
export interface StoreState {
  state: 'unknown' | 'ok' | 'failing'
  since: string
  problem?: string
  nextTryAt?: string
}

/** Whether the store works: one state, one backoff, and one voice in the log for all uploads. */
export class StoreHealth {
  readonly #backoff: SharedBackoff<StoreError>
  readonly #problems: ProblemLog
  readonly #log: Log
  readonly #clock: Clock
  readonly #waiting: () => number
  #state: StoreState['state'] = 'unknown'
  #sinceMs: number

  constructor({ log, clock }: { log: Log; clock: Clock }, waiting: () => number) {
    this.#backoff = new SharedBackoff(clock)
    this.#problems = new ProblemLog(log, clock)
    this.#log = log
    this.#clock = clock
    this.#waiting = waiting
    this.#sinceMs = clock.monotonicMs()
  }

  get isFailing(): boolean {
    return this.#state === 'failing'
  }

  /** Waits until the store works or may be tried; undefined once the signal aborts. */
  async enter(signal: AbortSignal): Promise<Pass | undefined> {
    return this.#backoff.enter(signal)
  }

  leave(pass: Pass): void {
    this.#backoff.leave(pass)
  }

  /** That reading works is no news of a store that refused to be written to. */
  succeeded(operation: StoreOperation): void {
    const { outage } = this.#backoff
    if (outage?.error.operation === 'write' && operation === 'read') return
    if (this.#state === 'ok') return
    if (outage) {
      const since = isoAt(this.#clock, outage.sinceMs)
      this.#problems.over('store')
      this.#log.info(
        { since, tries: outage.tries, waiting: this.#waiting() },
        'the store works again',
      )
    }
    this.#become('ok')
    this.#backoff.succeeded()
  }

  failed(error: StoreError, pass: Pass): void {
    if (!this.#backoff.failed(error, pass)) return
    if (this.#state !== 'failing') this.#become('failing')
    const fields = { problem: error.message, waiting: this.#waiting() }
    this.#problems.report('store', error.kind, fields, `uploads wait: ${error.hint}`)
  }

  /** The same store, each success of which is reported here. */
  watch(store: ObjectStore): ObjectStore {
    const noting = async <T>(operation: StoreOperation, asked: Promise<T>): Promise<T> => {
      const answer = await asked
      this.succeeded(operation)
      return answer
    }
    return {
      endpoint: store.endpoint,
      bucket: store.bucket,
      refusesOverwrite: store.refusesOverwrite,
      proof: store.proof,
      now: () => store.now(),
      check: async (key, signal) => noting('read', store.check(key, signal)),
      head: async (key, signal) => {
        const object = await store.head(key, signal)
        // A bucket that isn't there has no objects either.
        const isNews = object !== undefined || this.#backoff.outage?.error.kind !== 'no-bucket'
        if (isNews) this.succeeded('read')
        return object
      },
      put: async (upload, signal) => {
        const { content, onSent } = upload
        // In parts, what counts as sent was acknowledged: no need for others to wait for the end.
        const acknowledged = (bytes: number): void => {
          this.#backoff.ease()
          onSent(bytes)
        }
        const told = isMultipart(content.bytes) ? { ...upload, onSent: acknowledged } : upload
        return noting('write', store.put(told, signal))
      },
      readCrc32: async (key, signal) => noting('read', store.readCrc32(key, signal)),
    }
  }

  get status(): StoreState {
    const { outage } = this.#backoff
    const since = isoAt(this.#clock, this.#sinceMs)
    if (!outage) return { state: this.#state, since }
    if (outage.eased) return { state: 'ok', since }
    const inMs = outage.nextTryAtMs - this.#clock.monotonicMs()
    const nextTryAt = new Date(this.#clock.now() + Math.max(0, inMs)).toISOString()
    const { message, hint } = outage.error
    return { state: this.#state, since, problem: `${message} (${hint})`, nextTryAt }
  }

  #become(state: StoreState['state']): void {
    this.#state = state
    this.#sinceMs = this.#clock.monotonicMs()
  }
}

interface CheckDeps {
  store: ObjectStore
  /** Need not exist. */
  key: string
  health: StoreHealth
  /** Whether a file waits, or is on its way: that says more than any check. */
  isBusy: () => boolean
  log: Log
  clock: Clock
}

const idleCheckMs = 5000

/** Asks the store at start, and while it fails with nothing to upload; reads only. */
export async function checkStore(deps: CheckDeps, signal: AbortSignal): Promise<void> {
  let first = true
  while (!signal.aborted) {
    if (first || (deps.health.isFailing && !deps.isBusy())) await checkOnce(deps, signal)
    first = false
    await deps.clock.sleep(idleCheckMs, signal)
  }
}

async function checkOnce(
  { store, key, health, log }: CheckDeps,
  signal: AbortSignal,
): Promise<void> {
  const pass = await health.enter(signal)
  if (!pass) return
  try {
    await store.check(key, signal)
    // Nothing waits: whether it can be written to will show.
    health.succeeded('write')
    log.info({ endpoint: store.endpoint, bucket: store.bucket }, 'the store answers')
  } catch (error) {
    if (signal.aborted) return
    if (!(error instanceof StoreError)) throw error
    if (error.kind !== 'denied') return health.failed(error, pass)
    // Without s3:ListBucket a key that isn't there answers like this; uploads may work.
    log.warn(
      { problem: error.message },
      'the store denies a look: allow s3:ListBucket on the bucket',
    )
    health.succeeded('write')
  } finally {
    health.leave(pass)
  }
}
