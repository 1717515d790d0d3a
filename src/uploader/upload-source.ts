import type { FileHandle } from 'node:fs/promises'
import { readExactly } from './fingerprint.ts'
import { isMultipart, type ObjectUpload } from './object-store.ts'

/** Fewer reads cost less. */
const pieceBytes = 512 * 1024
/** Most segments fit; buffers for them are kept, for new ones keep the garbage collector busy. */
const largestBufferBytes = 16 * 1024 * 1024
const mostSpare = 4
const spare: Buffer[] = []

/** The content of an upload, read to just its size. */
export class UploadSource {
  /** Why it couldn't be read, if so. */
  failure: Error | undefined
  readonly #file: FileHandle
  readonly #upload: ObjectUpload
  #buffer: Buffer | undefined
  #read = 0

  constructor(file: FileHandle, upload: ObjectUpload) {
    this.#file = file
    this.#upload = upload
  }

  async *pieces(): AsyncGenerator<Buffer> {
    const { content, onSent } = this.#upload
    const inParts = isMultipart(content.bytes)
    if (content.bytes <= largestBufferBytes) this.#buffer = takeBuffer(content.bytes)
    const next = (bytes: number): Buffer =>
      this.#buffer?.subarray(this.#read) ?? Buffer.allocUnsafe(bytes)
    const pieces = readExactly(this.#file, content.bytes, pieceBytes, (bytes) =>
      next(bytes).subarray(0, bytes),
    )
    for (;;) {
      // Not around the yield: there a consumer that has had enough throws errors of its own.
      const piece = await pieces.next().catch((error: unknown) => {
        this.failure = error as Error
        throw error
      })
      if (piece.done) return
      this.#read += piece.value.length
      yield piece.value
      // Parts are read long before they are sent.
      if (!inParts) onSent(this.#read)
    }
  }

  /** Once all was sent: what of an upload that failed may still be on its way is not used again. */
  sent(): void {
    // A store may answer before it has read everything.
    if (this.#buffer && this.#read === this.#upload.content.bytes) spare.push(this.#buffer)
    if (spare.length > mostSpare) spare.shift()
    this.#buffer = undefined
  }
}

function takeBuffer(bytes: number): Buffer {
  const fitting = spare.findIndex(({ length }) => length >= bytes)
  const [buffer] = fitting < 0 ? [] : spare.splice(fitting, 1)
  return buffer ?? Buffer.allocUnsafe(Math.max(pieceBytes, 2 ** Math.ceil(Math.log2(bytes))))
}
