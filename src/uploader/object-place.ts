import { withSuffix } from '../segments/segment-name.ts'
import type { Fingerprint } from './fingerprint.ts'
import { StoreError, type ObjectStore, type StoredObject } from './object-store.ts'
import { isContent } from './verify.ts'

/** Where a file belongs in the store, and what is there already. */
export type Place =
  | { is: 'free'; key: string }
  /** An upload of ours that is not what it should be. */
  | { is: 'broken'; key: string; etag: string }
  /** This very file, verified. */
  | { is: 'done'; object: StoredObject }

/** How many keys are looked at before something must be wrong. */
const mostKeys = 1000

export interface PlaceQuestion {
  /** The key that the file has by right. */
  key: string
  /** Asked only once something is found: it costs a read of the file. */
  content: () => Promise<Fingerprint>
  /** Whether an object is an upload of this process that was never accepted. */
  isAbandoned: (object: StoredObject) => boolean
  /** The store has just said that the key exists. */
  refused: boolean
}

/** Looks at `name`, `name_2`, … until one is this file, a broken upload of it, or free. */
export async function findPlace(
  store: ObjectStore,
  question: PlaceQuestion,
  signal: AbortSignal,
): Promise<Place> {
  for (let n = 1; n <= mostKeys; n += 1) {
    const key = withSuffix(question.key, n)
    const object = await look(store, key, question.refused, signal)
    if (!object) return { is: 'free', key }
    const content = await question.content()
    if (namesContent(object, content)) {
      const same = await isContent(store, object, content, signal)
      return same ? { is: 'done', object } : { is: 'broken', key, etag: object.etag }
    }
    if (question.isAbandoned(object)) return { is: 'broken', key, etag: object.etag }
  }
  throw new Error(`${mostKeys} keys like ${question.key} are taken`)
}

/** By its metadata, an object is (or was meant to be) this content. */
function namesContent({ metadata }: StoredObject, content: Fingerprint): boolean {
  return metadata.crc32 === content.crc32 && metadata.size === String(content.bytes)
}

/**
 * Without s3:ListBucket a key that isn't there answers 403. Where the store itself refuses to
 * overwrite, the upload may find out.
 */
async function look(
  store: ObjectStore,
  key: string,
  refused: boolean,
  signal: AbortSignal,
): Promise<StoredObject | undefined> {
  try {
    return await store.head(key, signal)
  } catch (error) {
    const unknown = error instanceof StoreError && error.kind === 'denied'
    if (unknown && store.refusesOverwrite && !refused) return undefined
    throw error
  }
}
