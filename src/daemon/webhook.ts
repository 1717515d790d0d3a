import type { Clock } from './clock.ts'
import { describeError } from './logger.ts'
import type { ProblemLog } from './problem-log.ts'

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
    this.#waiting = [...this.#waiting, text].slice(-mostWaiting)
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
      if (await this.#deliver(text, signal)) {
        failures = 0
        if (this.#waiting[0] === text) this.#waiting = this.#waiting.slice(1)
      } else {
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures)
        failures += 1
        await clock.sleep(pauseMs, signal)
      }
    }
  }

  async #deliver(text: string, signal: AbortSignal): Promise<boolean> {
    const { url, problems } = this.#deps
    // A POST that is sent on would become a GET. `text` is what Slack shows, `content` what Discord does.
    const body = JSON.stringify({ text, content: text })
    const headers = { 'content-type': 'application/json' }
    const problem = await ask(url, { method: 'POST', headers, body, redirect: 'error' }, signal)
    if (problem === undefined) problems.over('webhook')
    else if (!signal.aborted) {
      const reason = `${problem}: look at ALERT_WEBHOOK_URL`
      problems.report('webhook', reason, { reason }, 'alerts cannot be delivered')
    }
    return problem === undefined
  }
}

/** One sign that all is well; what comes of it is the business of whoever waits for it. */
export async function beat(url: string, signal: AbortSignal): Promise<string | undefined> {
  return ask(url, { method: 'GET' }, signal)
}

/** Why a request was not answered with success; undefined if it was. */
async function ask(
  url: string,
  request: RequestInit,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
    const response = await fetch(url, { ...request, signal: patience })
    await response.body?.cancel().catch(() => {})
    return response.ok ? undefined : `HTTP ${response.status}`
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } }
    return cause?.code ?? describeError(cause ?? error)
  }
}
