import { rename, rm } from 'node:fs/promises'
import { fileCrc32 } from '../segments/folders.ts'
import { crcText } from '../uploader/fingerprint.ts'
import type { LedgerLine } from '../uploader/ledger.ts'
import { S3ObjectStore, type S3Settings } from '../uploader/s3-object-store.ts'

/** The objects that the ledger names, wherever they were put at the time. */
export class StoredFootage {
  readonly #settings: S3Settings
  readonly #stores = new Map<string, S3ObjectStore>()

  constructor(settings: S3Settings) {
    this.#settings = settings
  }

  /** A URL by which anybody may read it for some seconds. */
  async urlOf(line: LedgerLine, seconds: number): Promise<string> {
    return this.storeOf(line).urlOf(line.key, seconds)
  }

  /** Writes an object into a file, which is there only once it is whole and what was uploaded. */
  async save(line: LedgerLine, path: string, signal: AbortSignal): Promise<void> {
    const part = `${path}.part`
    try {
      await rm(part, { force: true })
      await this.storeOf(line).save(line.key, part, signal)
      if (crcText(await fileCrc32(part, signal)) !== line.crc32)
        throw new Error(`${line.key} in ${line.bucket} is not what was uploaded`)
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
  }

  /** Where an object was put. */
  storeOf({ bucket, endpoint }: LedgerLine): S3ObjectStore {
    const place = `${endpoint} ${bucket}`
    const known = this.#stores.get(place)
    if (known) return known
    const { endpoint: _, ...settings } = this.#settings
    const region = /^https:\/\/s3\.([a-z0-9-]+)\.amazonaws\.com$/.exec(endpoint)?.[1]
    const where = region === undefined ? { endpoint } : { region }
    const store = new S3ObjectStore({ ...settings, bucket, ...where })
    this.#stores.set(place, store)
    return store
  }
}
