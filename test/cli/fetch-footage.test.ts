import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { download, saveClip } from '../../src/cli/fetch-footage.ts'
import { findFootage } from '../../src/cli/find-footage.ts'
import { KnownFootage } from '../../src/cli/known-footage.ts'
import { StoredFootage } from '../../src/cli/stored-footage.ts'
import { StoreError } from '../../src/uploader/object-store.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { never, openWorkbench, settingsFor } from '../uploader/workbench.ts'

const beganMs = new Date(2025, 0, 25, 15, 30, 45).getTime()
const asked = { fromMs: beganMs, toMs: beganMs + 4000 }

/** Two files that are in the store only. */
async function twoStored(t: TestContext) {
  const { folders, server, record, ship } = await openWorkbench(t)
  const names = ['Front_20250125_153045.mp4', 'Front_20250125_153047.mp4']
  for (const name of names) {
    await ship(await record(name))
    await rm(join(folders.uploaded, name))
  }
  const stretches = await new KnownFootage(folders, beganMs + 10_000).stretches(asked)
  const said: string[] = []
  const stored = new StoredFootage(settingsFor(server))
  const fetching = { folders, stored, say: (text: string) => void said.push(text) }
  return { server, names, found: findFootage(stretches, asked), fetching, said }
}

test('something else of that name is left alone, and the other files are fetched all the same', async (t) => {
  const { names, found, fetching, said } = await twoStored(t)
  const folder = await temporaryFolder(t)
  const [first = '', second = ''] = names.map((name) => join(folder, name))
  await writeFile(first, 'something else')
  assert.equal(await download(found, { ...fetching, folder }, never), 1)
  assert.equal(await readFile(first, 'utf8'), 'something else')
  assert.deepEqual((await readdir(folder)).sort(), names)
  assert.match(said.join('\n'), /^! .*153045\.mp4 is something else.*\nsaved .*153047\.mp4$/)
  await rm(first)
  assert.equal(await download(found, { ...fetching, folder }, never), 0)
  assert.equal(said.at(-1), `${second} is there already`)
})

test('what keeps a file from being fetched is said with what to look at', async (t) => {
  const { server, found, fetching } = await twoStored(t)
  const folder = await temporaryFolder(t)
  const clip = { ...fetching, asked, exact: false }
  await assert.rejects(
    saveClip(found, { ...clip, target: join(folder, 'none', 'clip.mp4') }, never),
    /^Error: there is no folder .*none for the clip$/,
  )
  await server.close()
  await assert.rejects(download(found, { ...fetching, folder }, never), (error) => {
    assert.ok(error instanceof StoreError)
    assert.match(error.hint, /cannot be reached: look at the network/)
    return true
  })
})
