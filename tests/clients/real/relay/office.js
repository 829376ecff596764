// What an application with Relay would ask; relay-compiler turns it into compiled.

import { graphql } from "relay-runtime";

export const page = graphql`
  query officePageQuery($count: Int!, $cursor: String) {
    ...officeWorkstations @arguments(count: $count, cursor: $cursor)
  }
`;

export const workstations = graphql`
  fragment officeWorkstations on Query
  @refetchable(queryName: "officeWorkstationsPaginationQuery")
  @argumentDefinitions(count: { type: "Int" }, cursor: { type: "String" }) {
    workstations(filter: { building: "总部A座" }, first: $count, after: $cursor)
      @connection(key: "office_workstations") {
      edges {
        node {
          id
          ...officeWorkstation
        }
      }
    }
  }
`;

export const workstation = graphql`
  fragment officeWorkstation on Workstation @refetchable(queryName: "officeWorkstationRefetchQuery") {
    id
    name
    status
    notes
  }
`;

export const desks = graphql`
  query officeDesksQuery {
    workstations(filter: { building: "总部A座" }, first: 2) {
      nodes {
        id
        name
        status
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

export const tooMany = graphql`
  query officeTooManyQuery {
    workstations(first: 100000) {
      totalCount
    }
  }
`;

export const occupy = graphql`
  mutation officeOccupyMutation($id: ID!) {
    setWorkstationStatus(id: $id, status: OCCUPIED) {
      __typename
      ... on WorkstationChanged {
        workstation {
          id
          status
        }
      }
      ... on Refusal {
        code
        message
      }
    }
  }
`;

export const follow = graphql`
  subscription officeFollowSubscription {
    workstationChanges(filter: { building: "总部A座", floorNumber: 3 }) {
      kind
      cursor
      workstations {
        id
        name
        status
        notes
      }
      removed
    }
  }
`;
