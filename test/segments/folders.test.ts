import assert from 'node:assert/strict'
import { link, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { fileCrc32, moveInto, replaceFile } from '../../src/segments/folders.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

async function twoFolders(t: TestContext): Promise<[string, string]> {
  const folder = await temporaryFolder(t)
  const folders: [string, string] = [join(folder, 'from'), join(folder, 'to')]
  for (const path of folders) await mkdir(path)
  return folders
}

test('a move never overwrites: a name that is taken gets _2, _3', async (t) => {
  const [from, to] = await twoFolders(t)
  for (const content of ['one', 'two', 'three']) {
    await writeFile(join(from, 'a.mp4'), content)
    await moveInto(to, join(from, 'a.mp4'))
  }
  assert.deepEqual(await readdir(from), [])
  assert.deepEqual(await readdir(to), ['a.mp4', 'a_2.mp4', 'a_3.mp4'])
  assert.equal(await readFile(join(to, 'a_3.mp4'), 'utf8'), 'three')
})

test('a move that a crash left half done is finished, not repeated', async (t) => {
  const [from, to] = await twoFolders(t)
  await writeFile(join(from, 'a.mp4'), 'one')
  await link(join(from, 'a.mp4'), join(to, 'a.mp4'))
  assert.equal(await moveInto(to, join(from, 'a.mp4')), join(to, 'a.mp4'))
  assert.deepEqual([await readdir(from), await readdir(to)], [[], ['a.mp4']])
})

test('a half done move is finished under the name it had got, though a better one is free by now', async (t) => {
  const [from, to] = await twoFolders(t)
  await writeFile(join(from, 'a.mp4'), 'one')
  await link(join(from, 'a.mp4'), join(to, 'a_2.mp4'))
  assert.equal(await moveInto(to, join(from, 'a.mp4')), join(to, 'a_2.mp4'))
  assert.deepEqual([await readdir(from), await readdir(to)], [[], ['a_2.mp4']])
})

test('an equal file under the name counts as moved; one of other content of that length does not', async (t) => {
  const [from, to] = await twoFolders(t)
  await writeFile(join(to, 'a.mp4'), 'one')
  for (const content of ['one', 'two']) {
    await writeFile(join(from, 'a.mp4'), content)
    await moveInto(to, join(from, 'a.mp4'))
  }
  assert.deepEqual([await readdir(from), await readdir(to)], [[], ['a.mp4', 'a_2.mp4']])
})

test('the longest of names gets a suffix, too', async (t) => {
  const [from, to] = await twoFolders(t)
  const name = `${'é'.repeat(125)}x.mp4`
  for (const content of ['one', 'two']) {
    await writeFile(join(from, name), content)
    await moveInto(to, join(from, name))
  }
  assert.deepEqual((await readdir(to)).sort(), [name, `${'é'.repeat(124)}_2.mp4`].sort())
})

test('two processes that move the same file at once move it once', async (t) => {
  const [from, to] = await twoFolders(t)
  for (let round = 0; round < 50; round += 1) {
    await writeFile(join(from, `${round}.mp4`), 'x')
    await Promise.all([1, 2, 3].map(async () => moveInto(to, join(from, `${round}.mp4`))))
  }
  assert.equal((await readdir(to)).length, 50)
  assert.deepEqual(await readdir(from), [])
})

test('a file that is gone is no failure; a folder that is gone is one', async (t) => {
  const [from, to] = await twoFolders(t)
  assert.equal(await moveInto(to, join(from, 'none.mp4')), undefined)
  await writeFile(join(from, 'a.mp4'), 'x')
  await assert.rejects(moveInto(join(to, 'none'), join(from, 'a.mp4')), /ENOENT/)
  assert.deepEqual(await readdir(from), ['a.mp4'])
})

test('into another file system a file is copied with its time, once, and over nothing', async (t) => {
  const [from] = await twoFolders(t)
  const other = await mkdtemp('/dev/shm/camera-to-s3-')
  t.after(async () => rm(other, { recursive: true }))
  assert.notEqual((await stat(tmpdir())).dev, (await stat(other)).dev)
  const source = join(from, 'a.mp4')
  await writeFile(source, 'one')
  const { mtimeMs } = await stat(source)
  assert.equal(await moveInto(other, source), join(other, 'a.mp4'))
  assert.equal(Math.round((await stat(join(other, 'a.mp4'))).mtimeMs), Math.round(mtimeMs))
  // A crash before the source was removed: the same content lies under the same name.
  await writeFile(source, 'one')
  assert.equal(await moveInto(other, source), join(other, 'a.mp4'))
  await writeFile(source, 'two')
  assert.equal(await moveInto(other, source), join(other, 'a_2.mp4'))
  assert.deepEqual(await readdir(other), ['a.mp4', 'a_2.mp4'])
  assert.deepEqual(await readdir(from), [])
})

test('a file is replaced as a whole', async (t) => {
  const [from, to] = await twoFolders(t)
  await writeFile(join(from, 'new'), 'new')
  await writeFile(join(to, 'a'), 'old')
  await replaceFile(join(from, 'new'), join(to, 'a'))
  assert.equal(await readFile(join(to, 'a'), 'utf8'), 'new')
})

test('the CRC32 of a file is that of the standard check value', async (t) => {
  const [from] = await twoFolders(t)
  await writeFile(join(from, 'check'), '123456789')
  assert.equal(await fileCrc32(join(from, 'check')), 0xcbf43926)
})
