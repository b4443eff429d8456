"""The variables of a model by their paths in weight files."""

import keras


def model_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a model by path, such as `cell_07/block_2_left/separable_0/pointwise_kernel`.

    The paths leave out any scope that the model was built in.
    """
    variables = {}
    for layer in model.layers:
        for variable in layer.weights:
            _, _, tail = variable.path.partition(f"{layer.name}/")
            variables[f"{layer.name}/{tail}"] = variable
    return variables
