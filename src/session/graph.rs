//! The task graph of a statement, planned and not run: `EXPLAIN GRAPH`, `query graph`.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::clock::Runs;
use super::{Failure, Session, engine, explain, insert, located};
use crate::error::Result;
use crate::frontend::sql::{GraphOf, Params, Statement};
use crate::graph::{GraphFormat, Notes, TaskGraph};
use crate::plan::lower::lower;

impl Session {
    /// The task graph by which a statement would be run: a query's, that of `COPY … TO` or INSERT with its write,
    /// that of the query of `CREATE TABLE … AS` and `CREATE VIEW`. Plans it; nothing is read, written or changed.
    ///
    /// # Errors
    /// As [`Session::run`] has them for planning; a statement that is not run by a graph, such as SET.
    pub async fn graph(&self, statement: &Statement, params: &Params) -> Result<TaskGraph> {
        let plan = self.plan(statement, params, Runs::of(statement.ast())).await?;
        let plan = params.bind(plan, statement)?;
        self.lowered(plan).await.map_err(|failure| match failure {
            Failure::Engine(error) => located(error, statement).into(),
            Failure::Own(error) => error,
        })
    }

    async fn lowered(&self, plan: LogicalPlan) -> Result<TaskGraph, Failure> {
        let plan = explain::explained(Arc::new(insert::into_files(&self.context, plan).await?))?;
        self.check(&plan).await?;
        let physical = self.unlimited().create_physical_plan(&plan).await?;
        Ok(lower(engine::planned(physical))?)
    }

    /// The answer to `EXPLAIN GRAPH` and `EXPLAIN ANALYZE GRAPH`: the graph as a titled text.
    pub(super) async fn explained_graph(
        &self,
        statement: &Statement,
        params: &Params,
        of: GraphOf,
    ) -> Result<SendableRecordBatchStream> {
        let text = match of {
            GraphOf::Plan => self.graph(statement, params).await?.draw(GraphFormat::Text, &Notes::default()),
            GraphOf::Run => {
                let before = self.stores.usage();
                let plan =
                    params.bind(self.plan(statement, params, Runs::of(statement.ast())).await?, statement)?;
                self.analyzed(plan, &before).await.map_err(|failure| match failure {
                    Failure::Engine(error) => located(error, statement).into(),
                    Failure::Own(error) => error,
                })?
            }
        };
        let batch = explain::titled("task_graph", text).map_err(|error| located(error, statement))?;
        let schema = batch.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
    }
}
