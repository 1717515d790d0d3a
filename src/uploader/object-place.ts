import { withSuffix } from '../segments/segment-name.ts'
import type { Fingerprint } from './fingerprint.ts'
import { StoreError, type ObjectStore, type StoredObject } from './object-store.ts'
import { compareContent, isContent } from './verify.ts'

/** Where a file belongs in the store, and what is there already. */
export type Place =
  | { is: 'free'; key: string }
  /** An upload of ours that is not what it should be. */
  | { is: 'broken'; key: string; etag: string }
  /** This very content, verified, whoever has stored it. */
  | { is: 'done'; object: StoredObject }

/** How many keys are looked at before something must be wrong. */
const mostKeys = 1000

export interface PlaceQuestion {
  /** The key that the file has by right. */
  key: string
  /** Asked only once something is found: it costs a read of the file. */
  content: () => Promise<Fingerprint>
  /** What this process is writing, and for which file. */
  claims: KeyClaims
  path: string
  /** The store has just said that the key exists. */
  refused: boolean
}

/** The keys that this process writes to, each for one file, so that no two files meet in one. */
export class KeyClaims {
  readonly #owners = new Map<string, string>()
  readonly #begun = new Map<string, Set<string>>()

  /** False if another file has it. */
  take(key: string, path: string): boolean {
    const owner = this.#owners.get(key)
    if (owner === undefined) this.#owners.set(key, path)
    return owner === undefined || owner === path
  }

  drop(key: string, path: string): void {
    if (this.#owners.get(key) === path) this.#owners.delete(key)
  }

  dropAll(path: string): void {
    for (const [key, owner] of this.#owners) if (owner === path) this.#owners.delete(key)
  }

  /** Remembers an upload of this file, until it is accepted: it may be replaced. True if it is the first. */
  begin(path: string, key: string, metadata: Record<string, string>): boolean {
    const known = this.#begun.get(path)
    const marks = known ?? new Set()
    this.#begun.set(path, marks.add(mark(key, metadata)))
    return known === undefined
  }

  /** Whether an upload of this file was begun and not accepted. */
  hasBegun(path: string): boolean {
    return this.#begun.has(path)
  }

  accepted(path: string): void {
    this.#begun.delete(path)
  }

  /** Whether an object is an upload of this file that was begun and not accepted. */
  isAbandoned(path: string, { key, metadata }: StoredObject): boolean {
    return this.#begun.get(path)?.has(mark(key, metadata)) ?? false
  }
}

function mark(key: string, { size, crc32 }: Record<string, string>): string {
  return `${size} ${crc32} ${key}`
}

/**
 * Looks at `name`, `name_2`, … until one is this file, a broken upload of it, or free. What is
 * broken or free is the file's alone until its claims are dropped.
 */
export async function findPlace(
  store: ObjectStore,
  question: PlaceQuestion,
  signal: AbortSignal,
): Promise<Place> {
  const { claims, path } = question
  for (let n = 1; n <= mostKeys; n += 1) {
    const key = withSuffix(question.key, n)
    const isOurs = claims.take(key, path)
    const place = await lookAt(store, key, question, signal)
    if (place === 'other') claims.drop(key, path)
    else if (isOurs || place.is === 'done') return place
  }
  throw new Error(`${mostKeys} keys like ${question.key} are taken`)
}

/**
 * Looks for this very content as `findPlace` would from each of these keys, without an upload in
 * mind: nothing is claimed.
 */
export async function findStored(
  store: ObjectStore,
  { keys, ...question }: Pick<PlaceQuestion, 'content' | 'refused'> & { keys: string[] },
  signal: AbortSignal,
): Promise<StoredObject | undefined> {
  for (const key of keys) {
    const unclaimed = { ...question, key, path: key, claims: new KeyClaims() }
    const place = await findPlace(store, unclaimed, signal)
    if (place.is === 'done') return place.object
  }
  return undefined
}

async function lookAt(
  store: ObjectStore,
  key: string,
  { content: read, claims, path, refused }: PlaceQuestion,
  signal: AbortSignal,
): Promise<Place | 'other'> {
  const object = await look(store, key, refused, signal)
  if (!object) return { is: 'free', key }
  const content = await read()
  if (compareContent(object, content) === 'equal') return { is: 'done', object }
  if (namesContent(object, content)) {
    const same = await isContent(store, object, content, signal)
    return same ? { is: 'done', object } : { is: 'broken', key, etag: object.etag }
  }
  return claims.isAbandoned(path, object) ? { is: 'broken', key, etag: object.etag } : 'other'
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
