import type { FileHandle } from 'node:fs/promises'
import { readExactly } from './fingerprint.ts'
import { isMultipart, type ObjectUpload } from './object-store.ts'

/** The content of an upload, read to just its size. */
export class UploadSource {
  /** Why it couldn't be read, if so. */
  failure: Error | undefined
  readonly #file: FileHandle
  readonly #upload: ObjectUpload

  constructor(file: FileHandle, upload: ObjectUpload) {
    this.#file = file
    this.#upload = upload
  }

  async *pieces(): AsyncGenerator<Buffer> {
    const { content, onSent } = this.#upload
    const inParts = isMultipart(content.bytes)
    const pieces = readExactly(this.#file, content.bytes, inParts ? 1 << 20 : 1 << 16)
    for (let sent = 0; ;) {
      // Not around the yield: there a consumer that has had enough throws errors of its own.
      const next = await pieces.next().catch((error: unknown) => {
        this.failure = error as Error
        throw error
      })
      if (next.done) return
      yield next.value
      sent += next.value.length
      // Parts are read long before they are sent.
      if (!inParts) onSent(sent)
    }
  }
}
