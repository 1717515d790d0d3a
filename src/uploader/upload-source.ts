import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { readExactly } from './fingerprint.ts'
import type { ByteRange } from './object-store.ts'
import { giveReadBuffer, readBufferBytes, takeReadBuffer } from './read-buffers.ts'

/**
 * How many pieces are read before the first is used again. A request holds two at most that are
 * not sent yet: a stream stops where 64 kB wait, and the pipe where the socket has not sent what
 * it has.
 */
const piecesInUse = 4
const pieceBytes = readBufferBytes / piecesInUse

/** The file could not be read; `cause` says why. */
export class SourceFailure extends Error {}

/** Sends a range of a file as the body of one request. */
export async function sendRange<Answer>(
  file: FileHandle,
  range: ByteRange,
  send: (body: Readable) => Promise<Answer>,
  onRead: (bytes: number) => void = () => {},
): Promise<Answer> {
  const source = new UploadSource(file, range, onRead)
  try {
    const answer = await send(source.body)
    source.sent()
    return answer
  } catch (error) {
    throw source.failure ? new SourceFailure('', { cause: source.failure }) : error
  } finally {
    source.body.destroy()
  }
}

class UploadSource {
  readonly body: Readable
  /** Why it couldn't be read, if so. */
  failure: Error | undefined
  readonly #buffer = takeReadBuffer()

  constructor(file: FileHandle, range: ByteRange, onRead: (bytes: number) => void) {
    this.body = Readable.from(this.#pieces(file, range, onRead), { objectMode: false })
    // Without a listener a failing read would end the process.
    this.body.on('error', () => {})
  }

  async *#pieces(
    file: FileHandle,
    range: ByteRange,
    onRead: (bytes: number) => void,
  ): AsyncGenerator<Buffer> {
    let [slot, read] = [0, 0]
    const next = (): Buffer => {
      slot = (slot + 1) % piecesInUse
      return this.#buffer.subarray(slot * pieceBytes, (slot + 1) * pieceBytes)
    }
    const pieces = readExactly(file, range, next)
    for (;;) {
      // Not around the yield: there a consumer that has had enough throws errors of its own.
      const piece = await pieces.next().catch((error: unknown) => {
        this.failure = error as Error
        throw error
      })
      if (piece.done) return
      read += piece.value.length
      yield piece.value
      onRead(read)
    }
  }

  /** Once all was sent: what of a request that failed may still be on its way is not used again. */
  sent(): void {
    if (this.body.readableEnded) giveReadBuffer(this.#buffer)
  }
}
