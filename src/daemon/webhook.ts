import type { Clock } from './clock.ts'
import { describeError } from './logger.ts'
import type { ProblemLog } from './problem-log.ts'
import { cut } from './units.ts'

export interface WebhookDeps {
  url: string
  problems: ProblemLog
  clock: Clock
}

const patienceMs = 10_000
const firstPauseMs = 5000
const longestPauseMs = 5 * 60_000
/** Of a webhook that never works nobody reads more. */
const mostWaiting = 100
/** Discord refuses more than 2000 characters. */
const longestText = 1500
/** It would refuse this text for ever, but may take the next. */
const refusals = [400, 413, 422]

/** Why a request was not answered with success. */
interface Failure {
  problem: string
  /** Of HTTP, if there was an answer. */
  status?: number
}

/** Posts texts to a webhook, in their order, for as long as it takes; nobody ever waits for it. */
export class Webhook {
  readonly #deps: WebhookDeps
  #waiting: string[]
  #wake: () => void = () => {}

  /** `waiting` is what an earlier process has not delivered. */
  constructor(deps: WebhookDeps, waiting: string[]) {
    this.#deps = deps
    this.#waiting = waiting
  }

  /** What was not delivered yet. */
  get waiting(): string[] {
    return this.#waiting
  }

  post(text: string): void {
    this.#waiting = [...this.#waiting, cut(text, longestText)].slice(-mostWaiting)
    this.#wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    let failures = 0
    signal.addEventListener('abort', () => this.#wake())
    while (!signal.aborted) {
      const [text] = this.#waiting
      if (text === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      if (await this.#isDone(text, signal)) {
        failures = 0
        if (this.#waiting[0] === text) this.#waiting = this.#waiting.slice(1)
      } else {
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures)
        failures += 1
        await clock.sleep(pauseMs, signal)
      }
    }
  }

  /** Delivers a text; answers whether it was, or never will be. */
  async #isDone(text: string, signal: AbortSignal): Promise<boolean> {
    const { url, problems, clock } = this.#deps
    // A POST that is sent on would become a GET. `text` is what Slack shows, `content` what Discord does.
    const body = JSON.stringify({ text, content: text })
    const headers = { 'content-type': 'application/json' }
    const request: RequestInit = { method: 'POST', headers, body, redirect: 'error' }
    const failure = await ask(url, request, clock, signal)
    if (failure === undefined) problems.over('webhook')
    else if (!signal.aborted) {
      const reason = `${failure.problem}: look at ALERT_WEBHOOK_URL`
      problems.report('webhook', reason, { reason, text }, 'alerts cannot be delivered')
    }
    return failure === undefined || refusals.includes(failure.status ?? 0)
  }
}

/** One sign that all is well; why it was not answered, if it wasn't, is the business of who gives it. */
export async function beat(
  url: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  return (await ask(url, { method: 'GET' }, clock, signal))?.problem
}

/** Asks, and waits for an answer for as long as anybody would; undefined is success. */
async function ask(
  url: string,
  request: RequestInit,
  clock: Clock,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  // Not AbortSignal.any: Node 20 may collect the one of a timeout before its time has come.
  const patience = new AbortController()
  const answered = new AbortController()
  const giveUp = (): void => patience.abort(new Error(`no answer within ${patienceMs / 1000} s`))
  if (signal.aborted) giveUp()
  signal.addEventListener('abort', giveUp)
  void clock.sleep(patienceMs, answered.signal).then(giveUp)
  try {
    const response = await fetch(url, { ...request, signal: patience.signal })
    await response.body?.cancel().catch(() => {})
    const { ok, status } = response
    return ok ? undefined : { problem: `HTTP ${status}`, status }
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } }
    return { problem: cause?.code ?? describeError(cause ?? error) }
  } finally {
    signal.removeEventListener('abort', giveUp)
    answered.abort()
  }
}
