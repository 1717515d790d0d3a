import { Readable } from 'node:stream'
import type { UpstreamLimit } from './upstream-limit.ts'

/** The SDK's HTTP handler, as far as it matters here. */
interface HttpHandler<Request, Options, Answer> {
  handle(request: Request, options?: Options): Promise<Answer>
}

interface HttpRequest {
  method: string
  body?: unknown
}

interface HttpAnswer {
  response: { body?: unknown }
}

/** What counts as movement: small enough for a slow line to move it in time. */
const sliceBytes = 64 * 1024
/** What a kernel may hold back of a body, and the slowest line that is waited for. */
const sendBufferBytes = 2 * 1024 * 1024
const slowBytesPerSecond = 128 * 1024

/**
 * Makes an HTTP handler of the SDK end a request on which nothing moves for `quietMs`, or for its
 * own `requestTimeout`: neither its body, nor the answer's headers, nor the answer's body. The
 * socket's own timeout misses a store that trickles. A body that can't be read ends its request
 * too, instead of the process. With a limit, bodies wait for their turn; that is no quiet.
 */
export function giveUpWhenQuiet<
  R extends HttpRequest,
  O extends { abortSignal?: unknown; requestTimeout?: number },
  A extends HttpAnswer,
>(handler: HttpHandler<R, O, A>, quietMs: number, limit?: UpstreamLimit): HttpHandler<R, O, A> {
  const handle = async (request: R, options?: O): Promise<A> => {
    const { abortSignal, requestTimeout = quietMs } = options ?? {}
    const attempt = new Attempt(abortSignal as AbortSignal | undefined, requestTimeout, limit)
    try {
      const body = attempt.watch(request.body)
      // The handler's own timeout would only write a warning.
      const patient = { ...options, abortSignal: attempt.signal, requestTimeout: 0 }
      const answer = await handler.handle({ ...request, body }, patient as unknown as O)
      attempt.answered(request, answer)
      return answer
    } catch (error) {
      attempt.end()
      throw attempt.failure ?? error
    }
  }
  return Object.assign(Object.create(handler) as typeof handler, { handle })
}

class Attempt {
  failure: unknown
  #ended = false
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout
  #answer: Readable | undefined
  readonly #quietMs: number
  readonly #outer: AbortSignal | undefined
  readonly #limit: UpstreamLimit | undefined
  readonly #onAbort = (): void => this.#controller.abort(this.#outer?.reason)

  constructor(outer: AbortSignal | undefined, quietMs: number, limit: UpstreamLimit | undefined) {
    this.#outer = outer
    this.#limit = limit
    this.#quietMs = quietMs
    this.#timer = this.#failAfter(quietMs)
    if (outer?.aborted) this.#onAbort()
    outer?.addEventListener('abort', this.#onAbort)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The same body in slices, each of which is a sign of life. */
  watch(body: unknown): unknown {
    const long = Buffer.isBuffer(body) && body.length > (this.#limit ? 0 : sliceBytes)
    if (!long && !(body instanceof Readable)) return body
    const source = body instanceof Readable ? body : [body]
    const watched = Readable.from(this.#noticing(source), { objectMode: false })
    watched.on('error', (error) => this.#fail(error))
    return watched
  }

  /** The headers are there. What is short must come whole in what time is left. */
  answered({ method }: HttpRequest, { response }: HttpAnswer): void {
    const { body } = response
    if (method === 'HEAD' || !(body instanceof Readable)) return this.end()
    if (method === 'GET') this.#timer.refresh()
    this.#answer = body
    const watched = Readable.from(this.#receiving(body), { objectMode: false })
    // Whoever reads it hears of it.
    watched.on('error', () => {})
    response.body = watched
  }

  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#onAbort)
  }

  #failAfter(ms: number): NodeJS.Timeout {
    const quiet = new Error(`nothing moved for ${Math.round(ms / 1000)} s`)
    return setTimeout(() => this.#fail(Object.assign(quiet, { name: 'TimeoutError' })), ms)
  }

  #fail(error: unknown): void {
    this.failure ??= error
    this.#answer?.destroy(error as Error)
    this.#controller.abort(error)
  }

  async *#noticing(source: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator {
    let bytes = 0
    for await (const piece of source)
      for (const slice of slices(piece as Buffer, this.#limit?.turnBytes)) {
        if (this.#limit) await this.#waitFor(slice.length, this.#limit)
        else this.#timer.refresh()
        bytes += slice.length
        yield slice
      }
    // The kernel has taken it all, and may still be sending for a while on a slow line.
    const unsentMs = (Math.min(bytes, sendBufferBytes) / slowBytesPerSecond) * 1000
    clearTimeout(this.#timer)
    if (!this.#ended) this.#timer = this.#failAfter(this.#quietMs + unsentMs)
  }

  /** Waiting for its turn is no quiet. */
  async #waitFor(bytes: number, limit: UpstreamLimit): Promise<void> {
    clearTimeout(this.#timer)
    await limit.take(bytes, this.signal)
    if (!this.#ended) this.#timer = this.#failAfter(this.#quietMs)
  }

  async *#receiving(body: Readable): AsyncGenerator {
    let bytes = 0
    try {
      for await (const piece of body) {
        bytes += (piece as Buffer).length
        if (bytes >= sliceBytes && !this.#ended) this.#timer.refresh()
        bytes %= sliceBytes
        yield piece
      }
    } finally {
      this.end()
    }
  }
}

function* slices(body: Buffer, bytes = sliceBytes): Generator<Buffer> {
  for (let at = 0; at < body.length; at += bytes) yield body.subarray(at, at + bytes)
}
