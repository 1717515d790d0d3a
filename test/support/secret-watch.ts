import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { percentDecoded } from '../../src/daemon/redact.ts'
import { hasCode } from '../../src/segments/folders.ts'
import { atEnd } from './at-end.ts'
import { secretsIn, type Settings } from './canaries.ts'
import { S3Server } from './s3-server.ts'

const watching = new Set<SecretWatch>()
const sampleEveryMs = 150
let sampler: NodeJS.Timeout | undefined

/**
 * Watches for secrets until the test ends, and fails it if any was found: in these folders, in what
 * was printed, in what an S3Server of this process keeps beside the content of objects, in the
 * arguments of any process.
 */
export function watchForSecrets(t: TestContext, folders: string[]): SecretWatch {
  const watch = new SecretWatch(folders)
  atEnd(t, () => assert.deepEqual(watch.end(), [], 'secrets were told'))
  return watch
}

/** Looks for secrets, word by word: a part of one is a leak, and its words survive every escaping. */
export class SecretWatch {
  readonly #folders: string[]
  readonly #printed: (() => string)[] = []
  /** Each word with the variable whose secret it is. */
  readonly #words = new Map<string, string>()
  readonly #leaks = new Set<string>()

  /** Each file in the folders is searched by name and content; footage and `.env` by name alone. */
  constructor(folders: string[]) {
    this.#folders = folders
    watching.add(this)
    sampler ??= setInterval(() => searchProcesses(watching), sampleEveryMs).unref()
  }

  /** Searches what this returns in the end. */
  listen(printed: () => string): void {
    this.#printed.push(printed)
  }

  /** Watches for the secrets of these settings from now on. */
  add(settings: Settings): void {
    for (const [name, value] of Object.entries(settings)) {
      for (const secret of secretsIn(name, String(value))) {
        const words = percentDecoded(secret).match(/[A-Za-z0-9]{8,}/g) ?? []
        assert.ok(words.length > 0, `the secret in ${name} can't be searched for: use a canary`)
        for (const word of words) this.#words.set(word, name)
        const [, user = ''] = /^\w+:\/\/([^:@/]*):/.exec(String(value)) ?? []
        const basic = Buffer.from(`${percentDecoded(user)}:${percentDecoded(secret)}`)
        this.#words.set(basic.toString('base64'), name)
      }
    }
  }

  /** Searches everything a last time; says what was found where. */
  end(): string[] {
    searchProcesses(new Set([this]))
    watching.delete(this)
    for (const printed of this.#printed) this.search('what was printed', printed())
    for (const folder of this.#folders) this.#searchFolder(folder)
    for (const { objects } of S3Server.started)
      for (const [key, { headers }] of objects)
        this.search(`the object ${key}`, JSON.stringify([key, headers]))
    return [...this.#leaks]
  }

  #searchFolder(folder: string): void {
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name)
      this.search('the name of a file', path)
      if (entry.isDirectory()) this.#searchFolder(path)
      else if (entry.isFile() && !/\.(mp4|env|_S3rver_object)$/.test(entry.name))
        this.search(path, readIfThere(path))
    }
  }

  search(place: string, text: string): void {
    for (const [word, name] of this.#words) {
      const at = text.indexOf(word)
      if (at === -1) continue
      const excerpt = text.slice(Math.max(0, at - 100), at + word.length + 20)
      this.#leaks.add(`${name} in ${place}: …${excerpt}…`)
    }
  }
}

function searchProcesses(watches: Set<SecretWatch>): void {
  if (watches.size === 0) return
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const line = readIfThere(join('/proc', pid, 'cmdline')).replaceAll('\0', ' ')
    for (const watch of watches) watch.search('the arguments of a process', line)
  }
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error
    return []
  }
}

/** A process may end, and a log be pruned, while it is looked at. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ESRCH')) throw error
    return ''
  }
}
