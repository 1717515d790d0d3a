import { Readable } from 'node:stream'

/** The SDK's HTTP handler, as far as it matters here. */
interface HttpHandler<Request, Options, Answer> {
  handle(request: Request, options?: Options): Promise<Answer>
}

interface HttpRequest {
  method: string
  body?: unknown
}

interface HttpAnswer {
  response: { headers: Record<string, string>; body?: unknown }
}

/** What counts as movement: small enough for a slow line to move it in time. */
const sliceBytes = 64 * 1024
/** What a kernel may hold back of a body, and the slowest line that is waited for. */
const sendBufferBytes = 2 * 1024 * 1024
const slowBytesPerSecond = 128 * 1024

/**
 * Makes an HTTP handler of the SDK end a request on which nothing moves for `quietMs`, be it the
 * request's body, the answer's headers, or a short answer's body. The socket's own timeout misses
 * a store that trickles. A body that can't be read ends its request too, instead of the process.
 */
export function giveUpWhenQuiet<
  R extends HttpRequest,
  O extends { abortSignal?: unknown },
  A extends HttpAnswer,
>(handler: HttpHandler<R, O, A>, quietMs: number): HttpHandler<R, O, A> {
  const handle = async (request: R, options?: O): Promise<A> => {
    const attempt = new Attempt(options?.abortSignal as AbortSignal | undefined, quietMs)
    try {
      const body = attempt.watch(request.body)
      const patient = { ...options, abortSignal: attempt.signal } as unknown as O
      const answer = await handler.handle({ ...request, body }, patient)
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
  readonly #quietMs: number
  readonly #outer: AbortSignal | undefined
  readonly #onAbort = (): void => this.#controller.abort(this.#outer?.reason)

  constructor(outer: AbortSignal | undefined, quietMs: number) {
    this.#outer = outer
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
    const long = Buffer.isBuffer(body) && body.length > sliceBytes
    if (!long && !(body instanceof Readable)) return body
    const source = body instanceof Readable ? body : slices(body)
    const watched = Readable.from(this.#noticing(source), { objectMode: false })
    watched.on('error', (error) => this.#fail(error))
    return watched
  }

  /** The headers are there. A short answer must come whole in what time is left. */
  answered({ method }: HttpRequest, { response }: HttpAnswer): void {
    const { body, headers } = response
    const short = Number(headers['content-length'] ?? Number.NaN) <= sliceBytes
    if (method === 'HEAD' || !short || !(body instanceof Readable)) this.end()
    else body.once('close', () => this.end())
  }

  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#onAbort)
  }

  #failAfter(ms: number): NodeJS.Timeout {
    const quiet = new Error(`nothing moved for ${ms} ms`)
    return setTimeout(() => this.#fail(Object.assign(quiet, { name: 'TimeoutError' })), ms)
  }

  #fail(error: unknown): void {
    this.failure ??= error
    this.#controller.abort(error)
  }

  async *#noticing(source: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator {
    let bytes = 0
    for await (const slice of source) {
      this.#timer.refresh()
      bytes += (slice as Buffer).length
      yield slice
    }
    // The kernel has taken it all, and may still be sending for a while on a slow line.
    const unsentMs = (Math.min(bytes, sendBufferBytes) / slowBytesPerSecond) * 1000
    clearTimeout(this.#timer)
    if (!this.#ended) this.#timer = this.#failAfter(this.#quietMs + unsentMs)
  }
}

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += sliceBytes) yield body.subarray(at, at + sliceBytes)
}
