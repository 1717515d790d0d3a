import { hostname } from 'node:os'
import { Alerts, type Alert, type Trouble } from './alerts.ts'
import type { Clock } from './clock.ts'
import { describeError, type Log } from './logger.ts'
import { lastAlerts, OtherDaemon } from './other-daemon.ts'
import { ProblemLog } from './problem-log.ts'
import { beat, Webhook } from './webhook.ts'

export interface AlertOptions {
  /** Undefined: nobody is told. */
  webhookUrl: string | undefined
  /** Asked every minute while all is well. */
  heartbeatUrl: string | undefined
  /** How long a camera, or the other daemon, must be down until somebody is told. */
  afterMs: number
  /** The daemon beside this one, of which it tells when that is gone. */
  other: string
}

export interface AlertingDeps extends AlertOptions {
  /** This daemon's own name. */
  daemon: string
  statusFolder: string
  /** What the last process of this daemon said last. */
  lastStatus: unknown
  /** Takes the secrets out of a text. */
  scrub: (text: string) => string
  log: Log
  clock: Clock
}

const lookEveryMs = 5000
const beatEveryMs = 60_000
/** A daemon says how it is every 2 s. */
const silentAfterMs = 10_000
const steadyAfterMs = 30_000
/** What was not told yet goes on only where the process was replaced at once. */
const recentMs = 30_000

/** Tells somebody who isn't looking what this daemon finds wrong, with itself or with the other. */
export class Alerting {
  readonly #deps: AlertingDeps
  readonly #problems: ProblemLog
  readonly #alerts: Alerts
  readonly #webhook: Webhook | undefined
  readonly #other: OtherDaemon
  readonly #self: OtherDaemon
  #troubles: () => Promise<Trouble[]> = async () => []

  constructor(deps: AlertingDeps) {
    this.#deps = deps
    const { webhookUrl: url, afterMs, lastStatus, statusFolder: folder, scrub, log, clock } = deps
    this.#problems = new ProblemLog(log, clock)
    const other = { folder, name: deps.other, steadyAfterMs: Math.min(steadyAfterMs, afterMs / 2) }
    this.#other = new OtherDaemon(other, clock)
    this.#self = new OtherDaemon({ folder, name: deps.daemon, steadyAfterMs: 0 }, clock)
    const { alerts, alertsWaiting, saidMs } = lastAlerts(lastStatus)
    if (url !== undefined)
      this.#webhook = new Webhook({ url, problems: this.#problems, clock }, alertsWaiting)
    const tell = (text: string): void => {
      log.info({}, `alert: ${text}`)
      this.#webhook?.post(scrub(`${hostname()}: ${text}`))
    }
    const isRecent = Math.abs(clock.now() - saidMs) < recentMs
    this.#alerts = new Alerts(
      { tell, clock },
      alerts.filter(({ isTold }) => isTold || isRecent),
    )
  }

  /** For the status file. */
  get status(): { alerts: Alert[]; alertsWaiting: string[]; alertProblems: string[] } {
    return {
      alerts: this.#alerts.open,
      alertsWaiting: this.#webhook?.waiting ?? [],
      alertProblems: this.#problems.open.map(({ text }) => text),
    }
  }

  /** Says how to learn what is wrong by this daemon's own knowledge, and of what nothing is known any more. */
  on(troubles: () => Promise<Trouble[]>, isGone: (subject: string) => boolean = () => false): void {
    this.#troubles = troubles
    this.#alerts.forget(({ subject }) => isGone(subject))
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#watch(signal), this.#webhook?.run(signal), this.#beat(signal)])
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!signal.aborted) {
      const own = await this.#ownTroubles()
      this.#alerts.look([...own, ...(await this.#otherTrouble())])
      await this.#self.look()
      await clock.sleep(lookEveryMs, signal)
    }
    // What was not told before a stop in order begins anew after it; after a crash it goes on.
    this.#alerts.forget(({ isTold }) => !isTold)
  }

  async #ownTroubles(): Promise<Trouble[]> {
    try {
      return await this.#troubles()
    } catch (error) {
      this.#deps.log.debug({ reason: describeError(error) }, 'cannot look for what is wrong')
      return []
    }
  }

  async #otherTrouble(): Promise<Trouble[]> {
    const { afterMs } = this.#deps
    const { silentMs, unsteadyMs: lastedMs } = await this.#other.look()
    if (lastedMs <= silentAfterMs) return []
    // It may only have been started, as long as it isn't again and again.
    const isMild = silentMs <= silentAfterMs && lastedMs < afterMs
    const text = 'gone, or it hangs: no sign of life'
    return [{ subject: `the ${this.#other.name}`, text, lastedMs, afterMs, isMild }]
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { clock, heartbeatUrl: url } = this.#deps
    if (url === undefined) return
    // One that dies soon after each start must not seem to be well.
    await clock.sleep(Math.min(steadyAfterMs, this.#deps.afterMs), signal)
    while (!signal.aborted) {
      const problem = (await this.#isWell()) ? await beat(url, clock, signal) : undefined
      if (problem === undefined) this.#problems.over('heartbeat')
      else if (!signal.aborted) {
        const reason = `${problem}: look at HEARTBEAT_URL`
        this.#problems.report('heartbeat', reason, { reason }, 'the heartbeat is not answered')
      }
      await clock.sleep(beatEveryMs, signal)
    }
  }

  /** Both live, and can say how they are; and neither has told of anything that is not over. */
  async #isWell(): Promise<boolean> {
    const [other, self] = [await this.#other.look(), await this.#self.look()]
    const longestMs = Math.max(other.unsteadyMs, other.speechlessMs, self.speechlessMs)
    const alerts = [...this.#alerts.open, ...other.alerts]
    return longestMs <= silentAfterMs && !alerts.some(({ isTold }) => isTold)
  }
}
