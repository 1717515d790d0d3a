import { basename } from 'node:path'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import { isUnchanged, type Fingerprint } from './fingerprint.ts'
import { findPlace, type KeyClaims, type Place } from './object-place.ts'
import { StoreError, type ObjectStore, type StoredObject } from './object-store.ts'
import { isContent } from './verify.ts'

/** How often a store may garble one file before that is a failure to be waited out. */
const mostGarbled = 3

export interface UploadDeps {
  store: ObjectStore
  claims: KeyClaims
  log: Log
  clock: Clock
}

export interface Goods {
  path: string
  /** The key it has by right. */
  key: string
  content: Fingerprint
  metadata: Record<string, string>
  /** Where the store was last seen to have room for it. */
  place: Place
  onSent: (bytes: number) => void
}

/**
 * Uploads a file until the store holds just this content, verified, under its key or a suffixed
 * one, over nothing but a broken upload of our own; undefined if the file changed meanwhile.
 */
export async function uploadContent(
  deps: UploadDeps,
  goods: Goods,
  signal: AbortSignal,
): Promise<StoredObject | undefined> {
  const { path, content } = goods
  let { place } = goods
  for (let garbled = 0; garbled < mostGarbled;) {
    if (place.is === 'done') return place.object
    const startedMs = deps.clock.monotonicMs()
    const refused = (await putInto(deps, goods, place, signal)) === 'exists'
    if (!(await isUnchanged(path, content))) return undefined
    if (!refused) {
      const object = await deps.store.head(place.key, signal)
      if (object && (await isContent(deps.store, object, content, signal))) {
        sayVerified(deps, goods, place.key, startedMs)
        return object
      }
      garbled += 1
      const fields = { file: basename(path), key: place.key }
      deps.log.warn(fields, 'the store does not hold what was uploaded; replacing it')
    }
    const question = { key: goods.key, path, claims: deps.claims, refused }
    place = await findPlace(deps.store, { ...question, content: async () => content }, signal)
  }
  throw garbledError()
}

async function putInto(
  { store, claims, log }: UploadDeps,
  { path, key: right, content, metadata, onSent }: Goods,
  place: Exclude<Place, { is: 'done' }>,
  signal: AbortSignal,
): Promise<'stored' | 'exists'> {
  const file = basename(path)
  const { key } = place
  if (key !== right)
    log.warn({ file, key }, 'its key holds something else; uploading under another')
  const fields = { file, bytes: content.bytes, key }
  if (claims.begin(path, key, metadata)) log.info(fields, 'upload started')
  else log.debug(fields, 'upload started again')
  const replaces = place.is === 'broken' ? { replaces: place.etag } : {}
  try {
    await store.put({ path, key, content, metadata, onSent, ...replaces }, signal)
    return 'stored'
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'exists') return 'exists'
    throw error
  }
}

function sayVerified(
  { log, clock }: UploadDeps,
  { path, content }: Goods,
  key: string,
  startedMs: number,
): void {
  const seconds = (clock.monotonicMs() - startedMs) / 1000
  const fields = {
    file: basename(path),
    seconds: Number(seconds.toFixed(2)),
    'MB/s': Number((content.bytes / 1e6 / seconds).toFixed(1)),
    key,
  }
  log.info(fields, 'upload verified')
}

function garbledError(): StoreError {
  const hint = 'Something between here and the store alters what is sent: look at the proxies.'
  const problem = { kind: 'other', hint, storeWide: false } as const
  return new StoreError(problem, 'the store never holds what is uploaded', 'write')
}
