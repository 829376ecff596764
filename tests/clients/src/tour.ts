// node tour.js URL TOKEN [hashes]: every operation once on a running server, each told in one line on standard output;
// with `hashes`, documents are named by these.

import {
  AssignWorkstationDocument,
  CreateWorkstationDocument,
  DeleteWorkstationDocument,
  FloorDocument,
  FloorStatusDocument,
  LoginDocument,
  LogoutDocument,
  NotificationsDocument,
  PeopleDocument,
  PresenceDocument,
  PublishNotificationDocument,
  RefreshTokenDocument,
  ReleaseWorkstationDocument,
  RevokeSessionsDocument,
  SetWorkstationStatusDocument,
  UpdateWorkstationDocument,
  WorkstationChangesDocument,
  WorkstationsDocument,
} from "../generated/graphql.js";
import { office } from "./client.js";
import { arranged, created, deleted, updated } from "./outcomes.js";

const [url, token, hashes] = process.argv.slice(2);
if (url === undefined || token === undefined) {
  throw new Error("node tour.js URL TOKEN [hashes]");
}
const here = { building: "总部A座", floorNumber: 4 };
const client = office(url, token, hashes === "hashes");
const tell = (line: string): void => console.log(line);

const { floor } = await client.run(FloorDocument, { building: here.building, number: here.floorNumber });
tell(`floor: ${floor?.name ?? "none"}, ${floor?.workstations.length ?? 0} of ${floor?.stats.total ?? 0}`);

const { me, employees } = await client.run(PeopleDocument, { first: 1 });
const employee = employees.nodes[0];
if (floor == null || employee === undefined) {
  throw new Error("the office is empty");
}
tell(`people: ${me.roles.join()} sees ${employee.employeeNumber ?? "no number"}`);

const changes = client.follow(WorkstationChangesDocument, {
  filter: here,
  after: floor.cursor,
  snapshot: false,
});
const counts = client.follow(FloorStatusDocument, { building: here.building, number: here.floorNumber });
tell(`followed: ${await heard()}`);
tell(`counted: ${(await counts.next()).value?.floorStatus.stats.total}`);

const answer = await client.run(CreateWorkstationDocument, {
  input: { name: "T-1", xPosition: 1.5, yPosition: 2, equipment: { monitors: 2 }, building: here.building, floorNumber: 4 },
});
tell(`create: ${created(answer.createWorkstation)}`);
if (answer.createWorkstation.__typename !== "WorkstationChanged") {
  throw new Error("nothing to go on with");
}
const { id } = answer.createWorkstation.workstation;
tell(`followed: ${await heard()}`);
tell(`counted: ${(await counts.next()).value?.floorStatus.stats.total}`);

const again = await client.run(CreateWorkstationDocument, {
  input: { name: "T-1", xPosition: 0, yPosition: 0, building: here.building, floorNumber: 4 },
});
tell(`create again: ${again.createWorkstation.__typename}`);

const moved = await client.run(UpdateWorkstationDocument, { id, input: { xPosition: 7 }, expectedVersion: 1 });
tell(`update: ${updated(moved.updateWorkstation)}`);
const late = await client.run(UpdateWorkstationDocument, { id, input: { xPosition: 8 }, expectedVersion: 1 });
tell(`update late: ${updated(late.updateWorkstation)}`);
const seated = await client.run(AssignWorkstationDocument, { id, employeeId: employee.id });
tell(`assign: ${arranged(seated.assignWorkstation)}`);
const released = await client.run(ReleaseWorkstationDocument, { id });
tell(`release: ${arranged(released.releaseWorkstation)}`);
const broken = await client.run(SetWorkstationStatusDocument, { id, status: "MAINTENANCE" });
tell(`set status: ${arranged(broken.setWorkstationStatus)}`);
const refused = await client.run(SetWorkstationStatusDocument, { id, status: "RESERVED" });
tell(`set status wrongly: ${arranged(refused.setWorkstationStatus)}`);

const { workstations } = await client.run(WorkstationsDocument, {
  filter: here,
  orderBy: [{ field: "NAME", direction: "DESC" }],
  first: 1,
});
tell(`page: ${workstations.edges.map((edge) => edge.node.name).join()} of ${workstations.totalCount}`);

const gone = await client.run(DeleteWorkstationDocument, { id });
tell(`delete: ${deleted(gone.deleteWorkstation) === `deleted ${id}`}`);
const missing = await client.run(DeleteWorkstationDocument, { id });
tell(`delete again: ${missing.deleteWorkstation.__typename}`);

const news = client.follow(NotificationsDocument, {});
tell(`told: ${(await news.next()).value?.notifications.kind}`);
const published = await client.run(PublishNotificationDocument, { input: { title: "Fire drill", level: "WARNING" } });
tell(`publish: ${published.publishNotification.__typename}`);
tell(`told: ${(await news.next()).value?.notifications.notifications.map((one) => one.title).join()}`);
const presence = client.follow(PresenceDocument, { building: here.building, floor: here.floorNumber });
tell(`present: ${(await presence.next()).value?.presence.count}`);

const { login } = await client.run(LoginDocument, { name: "nobody", password: "what nobody chose" });
tell(`log in: ${login.__typename}`);
const { refreshToken } = await client.run(RefreshTokenDocument, { token: "none" });
tell(`renew: ${refreshToken.__typename}`);
const { logout } = await client.run(LogoutDocument, {});
tell(`log out without a login: ${logout.__typename}`);
const { revokeSessions } = await client.run(RevokeSessionsDocument, { account: "nobody" });
tell(`revoke: ${revokeSessions.__typename}`);

await client.close();

/** The next payload that says anything: its kind, and the names in it. */
async function heard(): Promise<string> {
  const { value } = await changes.next();
  const feed = value?.workstationChanges;
  return `${feed?.kind} [${feed?.workstations.map((desk) => desk.name).join()}]`;
}
