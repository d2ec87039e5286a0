"""Operations that a migration can do again after it was cut off."""

from django.contrib.postgres.operations import AddIndexConcurrently


class AddIndexAfresh(AddIndexConcurrently):
    """Create an index concurrently, first dropping what is left of an earlier try.

    A CREATE INDEX CONCURRENTLY that is cut off leaves an index of that name, which
    no query uses and which PostgreSQL refuses to create a second time.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.remove_index(model, self.index, concurrently=True)
        super().database_forwards(app_label, schema_editor, from_state, to_state)
